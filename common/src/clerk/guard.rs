//! Keeps a mistake from being taken for the end of a dealership.

/// So many may always be gone, unless they are nearly everything.
const FEW: usize = 2;

/// Decides, before anything is written, whether what Clerk no longer has can be meant.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeletionGuard {
    /// An operator says that it is meant, however much it is.
    pub(super) allow: bool,
}

/// Clerk no longer has so much of what is known here that it is most likely a mistake. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "refused, and nothing was written: of the {known} {what} that are known here, Clerk no longer has at least {gone}. \
     Is CLERK_SECRET_KEY of the right instance, and does Clerk answer completely? \
     If they were deleted on purpose: norvalt sync --allow-mass-deletion"
)]
pub struct MassDeletion {
    pub what: &'static str,
    /// How many are known here.
    pub known: usize,
    /// How many of them are gone at least: they are not counted further.
    pub gone: usize,
}

impl DeletionGuard {
    /// Refuses when more than a few and more than a tenth are gone, more than one and more than a third, or three
    /// quarters.
    pub(super) fn check(self, what: &'static str, gone: usize, known: usize) -> Result<(), MassDeletion> {
        let too_many =
            (gone > FEW && gone * 10 > known) || (gone > 1 && gone * 3 > known) || (gone > 0 && gone * 4 >= known * 3);
        if too_many && !self.allow { Err(MassDeletion { what, known, gone }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_gone_depends_on_how_much_there_is() {
        let most = |known: usize| {
            (0..=known).take_while(|&gone| DeletionGuard { allow: false }.check("people", gone, known).is_ok()).last()
        };
        let limits = [(0, 0), (1, 0), (2, 1), (4, 1), (5, 1), (6, 2), (20, 2), (40, 4), (200, 20), (2_000, 200)];
        for (known, limit) in limits {
            assert_eq!(most(known), Some(limit), "of {known}");
        }
    }

    #[test]
    fn an_operator_may_mean_all_of_them() {
        assert_eq!(DeletionGuard { allow: true }.check("people", 200, 200), Ok(()));
    }
}
