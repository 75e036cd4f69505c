//! The key of stand-ins for Clerk that need none of their own: to make one takes longer than most tests.

use std::sync::LazyLock;

use dev::stand_ins::clerk::SigningKey;

/// The same for all tests of a process.
pub fn signing_key() -> SigningKey {
    static PEM: LazyLock<String> = LazyLock::new(|| SigningKey::generate().to_pem());
    SigningKey::from_pem(&PEM).expect("it was written as it is read")
}
