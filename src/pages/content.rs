use std::borrow::Cow;

/// What a page shows, apart from its frame.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum Page<'a> {
    /// Asks for the email address.
    SignIn(SignIn<'a>),
    /// Asks for the code that was emailed.
    EnterCode(EnterCode<'a>),
    /// Refuses a person who proved who they are.
    Denied(Denied<'a>),
    /// Refuses a request that no login would help.
    Forbidden(Forbidden<'a>),
    /// Says that something went wrong, and what to do about it.
    Problem(Problem<'a>),
    /// Asks whether to log out.
    SignOut(SignOut<'a>),
    /// Confirms that the person is logged out.
    SignedOut(SignedOut<'a>),
    /// Asks whether a command-line client may act for the person.
    ApproveClient(ApproveClient<'a>),
    /// Confirms that a command-line client may, and that the page can be closed.
    ClientApproved,
    /// Shows a person from where they are logged in.
    Sessions(Sessions<'a>),
    /// Leads a person on who has logged in.
    Continue(Continue<'a>),
}

/// Asks for the email address.
///
/// The form has the fields `email`, `client_id`, `connector_id`, `connector_type` (always
/// `onetimepin`) and `redirect_url`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct SignIn<'a> {
    /// The name of the application.
    pub application: &'a str,
    /// The host that the person wanted to reach.
    pub host: &'a str,
    /// Where the form is posted, with its query.
    pub action: &'a str,
    /// Where to go after the login.
    pub redirect_url: &'a str,
    /// The audience of the application.
    pub client_id: &'a str,
    /// The identifier of the login method.
    pub connector_id: &'a str,
    /// The address to fill in, as typed before.
    pub email: Option<&'a str>,
    /// Why the last attempt failed.
    pub error: Option<&'a str>,
    /// What the person has to know beforehand: that the address to return to was shortened.
    pub notice: Option<&'a str>,
}

/// Asks for the code that was emailed.
///
/// The page is the same whether or not a code was emailed, and has to say how many digits the code
/// has: while somebody guesses codes, they get longer. The form has the fields `code` and
/// `nonce`; it is left out when only a new code helps (see [`CodeError::needs_new_code`]).
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct EnterCode<'a> {
    /// The name of the application.
    pub application: &'a str,
    /// The address, as typed.
    pub email: &'a str,
    /// Where the form is posted.
    pub action: &'a str,
    /// The identifier of this login.
    pub nonce: &'a str,
    /// Link that requests a new code.
    pub resend_url: &'a str,
    /// Link back to the question for the address.
    pub start_over_url: &'a str,
    /// How long a code is valid.
    pub minutes: u64,
    /// How many digits the code has: 6 to 16.
    pub digits: u32,
    /// Whether so many codes are asked for with this address that the newest mail counts, which may
    /// have come some minutes ago because somebody else asked. The page has to say so.
    pub uses_latest_mail: bool,
    /// Why the last attempt failed.
    pub error: Option<CodeError>,
}

/// Why a code was not accepted, or a new one not sent.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CodeError {
    /// The code is not the one that was sent.
    Wrong {
        /// How many more codes may be tried.
        attempts_left: u64,
    },
    /// What was typed is no code: this used up no attempt.
    NotACode {
        /// How many digits the code has.
        digits: u32,
        /// How many codes may still be tried.
        attempts_left: u64,
    },
    /// Too many codes were tried.
    Exhausted,
    /// The code is too old.
    Expired,
    /// Somebody logged in with the code before.
    AlreadyUsed,
    /// A new code was asked for too often.
    ResendLimited,
    /// Somebody guesses codes, and the one that was typed was too short to be looked at: a longer
    /// one was sent.
    TooShort,
}

impl CodeError {
    /// The sentence that the page shows.
    #[must_use]
    pub fn message(self) -> Cow<'static, str> {
        match self {
            Self::Wrong { attempts_left: 0 } => "That code is not right.".into(),
            Self::Wrong { attempts_left: 1 } => {
                "That code is not right. You have 1 attempt left.".into()
            }
            Self::Wrong { attempts_left } => {
                format!("That code is not right. You have {attempts_left} attempts left.").into()
            }
            Self::NotACode { digits, attempts_left } => {
                let plural = if attempts_left == 1 { "" } else { "s" };
                format!(
                    "That is not a code. A code has {digits} digits, 0 to 9, and nothing else. You \
                     still have {attempts_left} attempt{plural} left."
                )
                .into()
            }
            Self::Exhausted => "Too many wrong codes. Ask for a new code to continue.".into(),
            Self::Expired => "That code has expired. Ask for a new code to continue.".into(),
            Self::AlreadyUsed => "This One-Time PIN has already been used".into(),
            Self::ResendLimited => {
                "Too many codes requested. Use the latest one, or try again later.".into()
            }
            Self::TooShort => "Somebody is guessing codes, so codes are longer now. A longer code \
                               was sent: the one before no longer works."
                .into(),
        }
    }

    /// Whether the code is spent, so that only a new one helps.
    #[must_use]
    pub fn needs_new_code(self) -> bool {
        match self {
            Self::Exhausted | Self::Expired | Self::AlreadyUsed => true,
            Self::Wrong { .. } | Self::NotACode { .. } | Self::ResendLimited | Self::TooShort => {
                false
            }
        }
    }
}

/// Refuses a person who proved who they are.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Denied<'a> {
    /// The name of the application.
    pub application: &'a str,
    /// The host that the person wanted to reach.
    pub host: Option<&'a str>,
    /// The address that was refused.
    pub email: Option<&'a str>,
    /// The message of the application; "That account does not have access." without one.
    pub message: Option<&'a str>,
    /// Identifies this refusal in the audit log.
    pub reference: &'a str,
    /// Link to the page that logs out, so that another account can be used.
    pub sign_out_url: Option<&'a str>,
    /// Link that starts the login again.
    pub retry_url: Option<&'a str>,
    /// Link to the person's sessions.
    pub sessions_url: Option<&'a str>,
}

/// Refuses a request that no login would help.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Forbidden<'a> {
    /// The host that the person wanted to reach.
    pub host: Option<&'a str>,
    /// Identifies this refusal in the audit log.
    pub reference: &'a str,
    /// Link to the page that logs out, so that another account can be used.
    pub sign_out_url: Option<&'a str>,
    /// Link to the front page of the host, where it is another one.
    pub home_url: Option<&'a str>,
}

/// Says that something went wrong, and what to do about it.
///
/// ```
/// use tower_access::pages::{Page, Problem, render};
///
/// let page = Problem::new("Not possible right now", "Please try again in a few minutes.")
///     .host("wiki.example.com")
///     .retry("/docs", "Try again");
/// let document = render(&Page::Problem(page));
/// assert!(document.contains("Please try again in a few minutes."));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// The title and heading.
    pub title: &'a str,
    /// What happened, such as "Invalid session. Please try logging in again."
    pub message: &'a str,
    /// The host that the person wanted to reach, where it is known.
    pub host: Option<&'a str>,
    /// Identifies this request in the logs.
    pub reference: Option<&'a str>,
    /// Link that might help.
    pub retry_url: Option<&'a str>,
    /// The text of that link.
    pub retry_label: &'a str,
    /// Link to the front page of the host, where it is another one.
    pub home_url: Option<&'a str>,
}

impl<'a> Problem<'a> {
    /// Makes a page with a title and a message, and without links.
    #[must_use]
    pub fn new(title: &'a str, message: &'a str) -> Self {
        Self {
            title,
            message,
            host: None,
            reference: None,
            retry_url: None,
            retry_label: "",
            home_url: None,
        }
    }

    /// Sets the host that the person wanted to reach.
    #[must_use]
    pub fn host(self, host: impl Into<Option<&'a str>>) -> Self {
        Self { host: host.into(), ..self }
    }

    /// Sets what identifies this request in the logs.
    #[must_use]
    pub fn reference(self, reference: impl Into<Option<&'a str>>) -> Self {
        Self { reference: reference.into(), ..self }
    }

    /// Sets the link that might help, and its text.
    #[must_use]
    pub fn retry(self, url: impl Into<Option<&'a str>>, label: &'a str) -> Self {
        Self { retry_url: url.into(), retry_label: label, ..self }
    }

    /// Sets the link to the front page of the host.
    #[must_use]
    pub fn home_url(self, url: impl Into<Option<&'a str>>) -> Self {
        Self { home_url: url.into(), ..self }
    }
}

/// Leads a person on who has logged in, where a redirect cannot: the address is too long for a header,
/// or the person has to know something first.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Continue<'a> {
    /// The title and heading.
    pub title: &'a str,
    /// What happens, or what the person has to know.
    pub message: &'a str,
    /// Link to the page that was asked for: up to 8 KiB.
    pub url: &'a str,
    /// Whether the page goes on by itself, as by `<meta http-equiv="refresh">`.
    pub is_immediate: bool,
}

/// Asks whether to log out: only a form that is posted does.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct SignOut<'a> {
    /// Where the form is posted.
    pub action: &'a str,
}

/// Confirms that the person is logged out.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct SignedOut<'a> {
    /// Link to log in again.
    pub sign_in_url: Option<&'a str>,
}

/// Asks whether a command-line client may act for the person: only a form that is posted lets it.
///
/// Whoever made the link may be anybody: the page has to say that approving lets whoever runs the
/// client in, under the person's name. The form has the field `proof`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct ApproveClient<'a> {
    /// The name of the application.
    pub application: &'a str,
    /// The host that the client wants to reach.
    pub host: &'a str,
    /// The address of the person who is logged in.
    pub email: &'a str,
    /// Where the form is posted, with its query.
    pub action: &'a str,
    /// What shows that this page was there.
    pub proof: &'a str,
    /// The client's public key, as the client has printed it: `token` in the address it opened.
    pub key: &'a str,
    /// Whether the client gets into other applications as well, without asking again.
    pub with_session: bool,
}

/// Shows a person from where they are logged in.
///
/// Each form has one field, `end`: the id of a session, `others` for all but this one, or `all`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Sessions<'a> {
    /// Whose they are.
    pub email: &'a str,
    /// Where the forms are posted.
    pub action: &'a str,
    /// The sessions, the one the person is looking from first.
    pub sessions: &'a [SessionEntry<'a>],
    /// How many more there are.
    pub more: usize,
}

/// One of a person's sessions.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct SessionEntry<'a> {
    /// Its id.
    pub id: &'a str,
    /// The browser, in a few words, where it said what it is.
    pub browser: Option<&'a str>,
    /// The address the person logged in from, where it is known.
    pub address: Option<&'a str>,
    /// When it began, in words.
    pub started: &'a str,
    /// When the person was noticed last, in words.
    pub last_seen: &'a str,
    /// The id of the login method.
    pub login_method: &'a str,
    /// Whether the person is looking from it.
    pub is_current: bool,
}
