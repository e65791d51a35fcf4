//! Three-valued (Kleene) logic for rules and conditions of which facts are missing.

use super::facts::Fact;

/// The value of a rule or a condition.
///
/// A rule about the user is open before the login; one about an address is open if the address is
/// unknown. A policy that allows needs a condition that certainly holds; one that denies applies if its
/// condition may hold.
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

    /// Returns whether it counts as met, at the required certainty.
    pub(super) const fn is_met(self, certainty: Certainty) -> bool {
        match self {
            Self::Holds => true,
            Self::Fails => false,
            Self::Open(_) => matches!(certainty, Certainty::Possible),
        }
    }
}

/// How certain it must be that a condition holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Certainty {
    /// It holds whatever the missing facts are: required to grant access.
    Certain,
    /// It may hold: enough to refuse access, or to offer a login.
    Possible,
}

impl Certainty {
    /// Returns the certainty at which `exclude` is evaluated: it certainly fails if it cannot possibly
    /// hold.
    pub(super) const fn opposite(self) -> Self {
        match self {
            Self::Certain => Self::Possible,
            Self::Possible => Self::Certain,
        }
    }

    /// Returns whether a rule counts as met whose evaluator is still to be asked.
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
