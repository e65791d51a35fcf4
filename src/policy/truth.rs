//! What can be said of a rule when not every fact is known.

use super::facts::Fact;

/// What one rule comes to.
///
/// A rule about a person is open before anybody has logged in; one about an address is open when
/// the address is unknown. An allowing policy needs a condition that certainly holds, a refusing
/// one is satisfied with a condition that may hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Truth {
    Holds,
    Fails,
    /// A fact is missing.
    Open(Fact),
    /// A service will be asked, and may say what opens.
    Pending,
}

impl Truth {
    pub(super) const fn known(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }

    /// Whether the rule counts as met, by what that would lead to.
    pub(super) const fn is_met(self, want: Want) -> bool {
        match (self, want) {
            (Self::Holds, _) => true,
            (Self::Fails, _) => false,
            (Self::Open(_), want) => matches!(want, Want::Possible),
            (Self::Pending, want) => matches!(want, Want::Certain),
        }
    }
}

/// How sure one has to be that a condition holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Want {
    /// It holds whatever the missing facts are: to let somebody in.
    Certain,
    /// It may hold: to keep somebody out, or to offer a login.
    Possible,
}

impl Want {
    /// What `exclude` has to be asked: that it fails is as sure as that it may not hold.
    pub(super) const fn opposite(self) -> Self {
        match self {
            Self::Certain => Self::Possible,
            Self::Possible => Self::Certain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pol_06_a_missing_fact_never_opens_and_a_pending_one_never_closes() {
        let open = Truth::Open(Fact::Country);
        assert!(!open.is_met(Want::Certain) && open.is_met(Want::Possible));
        assert!(Truth::Pending.is_met(Want::Certain) && !Truth::Pending.is_met(Want::Possible));
        for want in [Want::Certain, Want::Possible] {
            assert!(Truth::Holds.is_met(want) && !Truth::Fails.is_met(want));
            assert_eq!(want.opposite().opposite(), want);
        }
    }
}
