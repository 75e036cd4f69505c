use std::fmt;

use zeroize::Zeroizing;

/// A secret. `Debug` does not show it; [`Secret::expose`] does, where it is used. Its memory is overwritten in the end.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The value itself, for the call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Display;
    struct Serialize;

    /// Which implementation is meant is clear only as long as there is one.
    trait Shown<By> {
        const CHECKED: bool = true;
    }
    impl<T> Shown<()> for T {}
    impl<T: fmt::Display> Shown<Display> for T {}
    impl<T: serde::Serialize> Shown<Serialize> for T {}

    #[test]
    fn nothing_shows_a_secret() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
        const { assert!(<Secret as Shown<_>>::CHECKED, "this compiles") };
    }
}
