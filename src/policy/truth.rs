//! What can be said of a condition when not every fact is known.

/// A truth value that may be open: what a condition *could* still be.
///
/// A condition about a person is open before anybody has logged in; one about an address is open
/// when the address is unknown. An allowing policy needs a condition that certainly holds, a
/// refusing one is satisfied with a condition that may hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Truth {
    can_hold: bool,
    can_fail: bool,
}

impl Truth {
    pub(super) const HOLDS: Self = Self { can_hold: true, can_fail: false };
    pub(super) const FAILS: Self = Self { can_hold: false, can_fail: true };
    pub(super) const OPEN: Self = Self { can_hold: true, can_fail: true };

    pub(super) const fn known(holds: bool) -> Self {
        if holds { Self::HOLDS } else { Self::FAILS }
    }

    pub(super) const fn certainly_holds(self) -> bool {
        self.can_hold && !self.can_fail
    }

    pub(super) const fn can_hold(self) -> bool {
        self.can_hold
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            can_hold: self.can_hold && other.can_hold,
            can_fail: self.can_fail || other.can_fail,
        }
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self {
            can_hold: self.can_hold || other.can_hold,
            can_fail: self.can_fail && other.can_fail,
        }
    }

    pub(super) const fn not(self) -> Self {
        Self { can_hold: self.can_fail, can_fail: self.can_hold }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_conditions_spread_only_where_they_matter() {
        let (yes, no, open) = (Truth::HOLDS, Truth::FAILS, Truth::OPEN);
        assert_eq!(yes.and(open), open);
        assert_eq!(no.and(open), no);
        assert_eq!(yes.or(open), yes);
        assert_eq!(no.or(open), open);
        assert_eq!(open.not(), open);
        assert_eq!(yes.not(), no);
    }
}
