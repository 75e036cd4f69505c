use uuid::Uuid;

use crate::ids::{DealershipId, OutboxId};

/// Names a message to providers, and in links that only the customer has: nobody can guess it, and it says nothing.
pub fn tag(dealership: DealershipId, id: OutboxId) -> String {
    format!("{}-{}", Uuid::from(dealership).simple(), Uuid::from(id).simple())
}

/// Whose message a tag names, and which.
pub fn read_tag(tag: &str) -> Option<(DealershipId, OutboxId)> {
    let (dealership, id) = tag.split_once('-')?;
    let uuid = |text: &str| Uuid::try_parse(text).ok().filter(|_| text.len() == 32);
    Some((uuid(dealership)?.into(), uuid(id)?.into()))
}

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// As many as the largest id has: with a source's key before it, an address stays within the 64 bytes of a local part.
/// <https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.1>
const TOKEN: usize = 25;

/// A message in the address that answers to it go to; mail servers may change its case.
pub fn reply_token(id: OutboxId) -> String {
    let mut rest = Uuid::from(id).as_u128();
    let mut token = [b'0'; TOKEN];
    for digit in token.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(rest % 36).expect("it is less than 36")];
        rest /= 36;
    }
    token.iter().map(|digit| char::from(*digit)).collect()
}

/// Which message a token names.
pub fn read_reply_token(token: &str) -> Option<OutboxId> {
    if token.len() != TOKEN {
        return None;
    }
    let id = token.chars().try_fold(0_u128, |id, digit| id.checked_mul(36)?.checked_add(digit.to_digit(36)?.into()))?;
    Some(Uuid::from_u128(id).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_found_by_its_tag_and_by_its_token_in_any_case() {
        for id in [Uuid::nil(), Uuid::max(), Uuid::new_v4()].map(OutboxId::from) {
            let token = reply_token(id);
            assert_eq!(read_reply_token(&token), Some(id));
            assert_eq!(read_reply_token(&token.to_uppercase()), Some(id));
            let dealership = DealershipId::from(Uuid::new_v4());
            assert_eq!(read_tag(&tag(dealership, id)), Some((dealership, id)));
        }
        for nonsense in ["", "zzzzzzzzzzzzzzzzzzzzzzzzz", "0000000000000000000000000å", "-"] {
            assert_eq!(read_reply_token(nonsense), None, "{nonsense}");
            assert_eq!(read_tag(nonsense), None, "{nonsense}");
        }
    }
}
