use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Wrong passwords in a row that an address may send. An operator who mistypes does not come near it.
const BURST: u32 = 10;
/// One more each time that this has passed: about 2,900 a day.
const REFILL: Duration = Duration::from_secs(30);
/// Addresses that are remembered, at most.
const MAX_ADDRESSES: usize = 10_000;

/// Slows the guessing of passwords down, by the address it comes from: after [`BURST`] wrong ones, an address is refused
/// without a look at what it sends.
///
/// Kept is when each address will be as good as one that never tried: a wrong password moves that by [`REFILL`].
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<HashMap<IpAddr, Instant>>);

impl Guesses {
    /// Whether this address may try a password now, or how long it has to wait.
    pub(super) fn check(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let forgiven = self.lock().get(&network(address)).copied().unwrap_or(now);
        match forgiven.checked_duration_since(now + REFILL * (BURST - 1)) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    /// It tried a wrong one.
    pub(super) fn wrong(&self, address: IpAddr, now: Instant) {
        let mut forgiven = self.lock();
        if forgiven.len() >= MAX_ADDRESSES {
            forgiven.retain(|_, at| *at > now);
        }
        if forgiven.len() >= MAX_ADDRESSES {
            // Whoever has this many addresses is not slowed down by remembering one more.
            let soonest = forgiven.iter().min_by_key(|(_, at)| **at).map(|(address, _)| *address);
            soonest.map(|address| forgiven.remove(&address));
        }
        let at = forgiven.entry(network(address)).or_insert(now);
        *at = (*at).max(now) + REFILL;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        // Whole also after a panic: nothing is done in several steps.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of IPv6, whoever has one address has its /64. <https://www.rfc-editor.org/rfc/rfc6177>
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong_until_refused(guesses: &Guesses, address: IpAddr, now: Instant) -> u32 {
        let mut count = 0;
        while guesses.check(address, now).is_ok() {
            guesses.wrong(address, now);
            count += 1;
        }
        count
    }

    #[test]
    fn an_address_is_refused_after_some_wrong_passwords_and_forgiven_slowly() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert_eq!(wrong_until_refused(&guesses, one, now), BURST);
        assert_eq!(guesses.check(other, now), Ok(()));
        let wait = guesses.check(one, now).expect_err("it is refused");
        assert_eq!(wait, REFILL);
        assert_eq!(wrong_until_refused(&guesses, one, now + wait), 1);
        assert_eq!(wrong_until_refused(&guesses, one, now + REFILL * 30), BURST);
    }

    #[test]
    fn a_network_counts_as_one_address() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let [one, other, elsewhere, mapped, v4] =
            ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "::ffff:10.0.0.1", "10.0.0.1"]
                .map(|text| text.parse::<IpAddr>().expect("an address"));
        wrong_until_refused(&guesses, one, now);
        wrong_until_refused(&guesses, v4, now);
        assert!(guesses.check(other, now).is_err() && guesses.check(mapped, now).is_err());
        assert_eq!(guesses.check(elsewhere, now), Ok(()));
    }

    #[test]
    fn memory_is_bounded() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        for number in 0..u32::try_from(MAX_ADDRESSES).expect("it is small") + 50 {
            guesses.wrong(IpAddr::from(number.to_be_bytes()), now);
        }
        assert_eq!(guesses.lock().len(), MAX_ADDRESSES);
    }
}
