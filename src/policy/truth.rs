//! What can be said of a rule or a condition when not every fact is known: Kleene's logic.

use super::facts::Fact;

/// What a rule or a condition comes to.
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
}

impl Truth {
    pub(super) const fn known(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }

    /// Whether it counts as met, by what that would lead to.
    pub(super) const fn is_met(self, certainty: Certainty) -> bool {
        match self {
            Self::Holds => true,
            Self::Fails => false,
            Self::Open(_) => matches!(certainty, Certainty::Possible),
        }
    }
}

/// How sure one has to be that a condition holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Certainty {
    /// It holds whatever the missing facts are: to let somebody in.
    Certain,
    /// It may hold: to keep somebody out, or to offer a login.
    Possible,
}

impl Certainty {
    /// What `exclude` has to be asked: that it fails is as sure as that it may not hold.
    pub(super) const fn opposite(self) -> Self {
        match self {
            Self::Certain => Self::Possible,
            Self::Possible => Self::Certain,
        }
    }

    /// Whether a rule counts as met whose service will be asked: it may say what opens.
    pub(super) const fn meets_pending(self) -> bool {
        matches!(self, Self::Certain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pol_06_a_missing_fact_never_opens_and_a_pending_one_never_closes() {
        let open = Truth::Open(Fact::Country);
        assert!(!open.is_met(Certainty::Certain) && open.is_met(Certainty::Possible));
        assert!(Certainty::Certain.meets_pending() && !Certainty::Possible.meets_pending());
        for certainty in [Certainty::Certain, Certainty::Possible] {
            assert!(Truth::Holds.is_met(certainty) && !Truth::Fails.is_met(certainty));
            assert_eq!(certainty.opposite().opposite(), certainty);
        }
    }
}
