use std::borrow::Cow;

/// What a page shows, apart from its frame.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum Page<'a> {
    /// Asks for the email address.
    SignIn(SignIn<'a>),
    /// Offers the login methods of an application.
    ChooseMethod(ChooseMethod<'a>),
    /// Asks for the code that was emailed.
    EnterCode(EnterCode<'a>),
    /// Refuses an authenticated user.
    Denied(Denied<'a>),
    /// Refuses a request that a login would not help.
    Forbidden(Forbidden<'a>),
    /// Reports a problem and what to do about it.
    Problem(Problem<'a>),
    /// Asks whether to log out.
    SignOut(SignOut<'a>),
    /// Confirms that the user is logged out.
    SignedOut(SignedOut<'a>),
    /// Asks whether a command-line client may act for the user.
    ApproveClient(ApproveClient<'a>),
    /// Confirms that a command-line client was approved and that the page can be closed.
    ClientApproved,
    /// Lists the user's sessions.
    Sessions(Sessions<'a>),
    /// Continues to the application after a login.
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
    /// The requested host.
    pub host: &'a str,
    /// The URL to post the form to, with its query.
    pub action: &'a str,
    /// The URL to return to after the login.
    pub redirect_url: &'a str,
    /// The audience of the application.
    pub client_id: &'a str,
    /// The identifier of the login method.
    pub connector_id: &'a str,
    /// The email address to fill in, as typed before.
    pub email: Option<&'a str>,
    /// Why the last attempt failed.
    pub error: Option<&'a str>,
    /// What the user has to know before the login: that the return URL was shortened.
    pub notice: Option<&'a str>,
    /// The other login methods that the application accepts.
    pub other_methods: &'a [MethodLink<'a>],
}

/// Offers the login methods of an application, none of which has a page of its own.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct ChooseMethod<'a> {
    /// The name of the application.
    pub application: &'a str,
    /// The requested host.
    pub host: &'a str,
    /// The login methods: at least one.
    pub methods: &'a [MethodLink<'a>],
    /// What the user has to know before the login: that the return URL was shortened.
    pub notice: Option<&'a str>,
}

/// A login method to choose.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct MethodLink<'a> {
    /// The name.
    pub name: &'a str,
    /// The URL that starts the login.
    pub url: &'a str,
}

impl<'a> From<&'a (String, String)> for MethodLink<'a> {
    /// Takes the name and the URL.
    fn from((name, url): &'a (String, String)) -> Self {
        Self { name, url }
    }
}

/// Asks for the code that was emailed.
///
/// The page is the same whether or not a code was emailed. It must state the number of digits,
/// because codes get longer while somebody guesses them. The form has the fields `code` and
/// `nonce`; it is omitted if only a new code helps (see [`CodeError::needs_new_code`]).
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct EnterCode<'a> {
    /// The name of the application.
    pub application: &'a str,
    /// The email address, as typed.
    pub email: &'a str,
    /// The URL to post the form to.
    pub action: &'a str,
    /// The identifier of this login.
    pub nonce: &'a str,
    /// Link that requests a new code.
    pub resend_url: &'a str,
    /// Link back to the form for the email address.
    pub start_over_url: &'a str,
    /// How long a code is valid, in minutes.
    pub minutes: u64,
    /// The number of digits of the code: 6 to 16.
    pub digits: u32,
    /// Whether logins of this address share a code because too many codes were requested. The newest
    /// mail has it, which may be some minutes old and caused by somebody else. The page must say so.
    pub uses_latest_mail: bool,
    /// Whether the link in the mail opened the page. The fragment of the page's URL is then the code. A
    /// script may fill it in, but must not post the form: the user presses the button.
    pub is_from_mail: bool,
    /// Why the last attempt failed.
    pub error: Option<CodeError>,
}

/// Why a code was not accepted, or a new one not sent.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CodeError {
    /// The code is wrong.
    Wrong {
        /// The number of attempts left.
        attempts_left: u64,
    },
    /// The input is not a code. It does not use up an attempt.
    Malformed {
        /// The number of digits of the code.
        digits: u32,
        /// The number of attempts left.
        attempts_left: u64,
    },
    /// Too many wrong codes were entered.
    Exhausted,
    /// The code has expired.
    Expired,
    /// The code was already used to log in.
    AlreadyUsed,
    /// Too many new codes were requested.
    ResendLimited,
    /// The code is too short to be accepted while somebody guesses codes. A longer one was sent.
    TooShort,
}

impl CodeError {
    /// Returns the sentence that the page shows.
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
            Self::Malformed { digits, attempts_left } => {
                let plural = if attempts_left == 1 { "" } else { "s" };
                format!(
                    "That is not a code. A code consists of {digits} digits, 0 to 9. You still \
                     have {attempts_left} attempt{plural} left."
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
                               was sent. The previous code no longer works."
                .into(),
        }
    }

    /// Returns whether only a new code helps.
    #[must_use]
    pub fn needs_new_code(self) -> bool {
        match self {
            Self::Exhausted | Self::Expired | Self::AlreadyUsed => true,
            Self::Wrong { .. } | Self::Malformed { .. } | Self::ResendLimited | Self::TooShort => {
                false
            }
        }
    }
}

/// Refuses an authenticated user.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Denied<'a> {
    /// The name of the application.
    pub application: &'a str,
    /// The requested host.
    pub host: Option<&'a str>,
    /// The email address that was refused.
    pub email: Option<&'a str>,
    /// The application's message. Default: "That account does not have access."
    pub message: Option<&'a str>,
    /// Identifies this refusal in the audit log.
    pub reference: &'a str,
    /// Link to the page that logs out, so that another account can be used.
    pub sign_out_url: Option<&'a str>,
    /// Link that starts the login again.
    pub retry_url: Option<&'a str>,
    /// Link to the user's sessions.
    pub sessions_url: Option<&'a str>,
}

/// Refuses a request that a login would not help.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Forbidden<'a> {
    /// The requested host.
    pub host: Option<&'a str>,
    /// Identifies this refusal in the audit log.
    pub reference: &'a str,
    /// Link to the page that logs out, so that another account can be used.
    pub sign_out_url: Option<&'a str>,
    /// Link to the front page of the host, if this is a different page.
    pub home_url: Option<&'a str>,
}

/// Reports a problem and what to do about it.
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
    /// The requested host, if known.
    pub host: Option<&'a str>,
    /// Identifies this request in the logs.
    pub reference: Option<&'a str>,
    /// Link that might help.
    pub retry_url: Option<&'a str>,
    /// The text of that link.
    pub retry_label: &'a str,
    /// Link to the front page of the host, if this is a different page.
    pub home_url: Option<&'a str>,
}

impl<'a> Problem<'a> {
    /// Creates a page with a title and a message, without links.
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

    /// Sets the requested host.
    #[must_use]
    pub fn host(self, host: impl Into<Option<&'a str>>) -> Self {
        Self { host: host.into(), ..self }
    }

    /// Sets the reference that identifies this request in the logs.
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

/// Continues to the application after a login if a redirect cannot: the URL is too long for a header,
/// or the user has to read something first.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Continue<'a> {
    /// The title and heading.
    pub title: &'a str,
    /// What happens next, or what the user has to know.
    pub message: &'a str,
    /// Link to the requested page: up to 8 KiB.
    pub url: &'a str,
    /// Whether the page continues by itself, for example by `<meta http-equiv="refresh">`.
    pub is_immediate: bool,
}

/// Asks whether to log out. Only posting the form logs out.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct SignOut<'a> {
    /// The URL to post the form to.
    pub action: &'a str,
}

/// Confirms that the user is logged out.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct SignedOut<'a> {
    /// Link to log in again.
    pub sign_in_url: Option<&'a str>,
}

/// Asks whether a command-line client may act for the user. Only posting the form approves it.
///
/// Anybody can create a link to this page. The page must say that approving gives whoever runs the
/// client access as the user. The form has the field `proof`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct ApproveClient<'a> {
    /// The name of the application.
    pub application: &'a str,
    /// The host that the client wants to reach.
    pub host: &'a str,
    /// The email address of the user who is logged in.
    pub email: &'a str,
    /// The URL to post the form to, with its query.
    pub action: &'a str,
    /// Proves that the form was posted from this page.
    pub proof: &'a str,
    /// The client's public key, as the client printed it: `token` in the URL it opened.
    pub key: &'a str,
    /// Whether the client also gets access to other applications, without asking again.
    pub with_session: bool,
}

/// Lists the user's sessions.
///
/// Each form has one field, `end`: the id of a session, `others` for all but this one, or `all`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Sessions<'a> {
    /// The user's email address.
    pub email: &'a str,
    /// The URL to post the forms to.
    pub action: &'a str,
    /// The sessions, beginning with the current one.
    pub sessions: &'a [SessionEntry<'a>],
    /// The number of further sessions.
    pub more: usize,
}

/// One of the user's sessions.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct SessionEntry<'a> {
    /// The session id.
    pub id: &'a str,
    /// The browser, such as "Firefox on Linux", if known.
    pub browser: Option<&'a str>,
    /// The IP address of the login, if known.
    pub address: Option<&'a str>,
    /// When the session began, as text.
    pub started: &'a str,
    /// When the user was last active, as text.
    pub last_seen: &'a str,
    /// The id of the login method.
    pub login_method: &'a str,
    /// Whether this is the current session.
    pub is_current: bool,
}
