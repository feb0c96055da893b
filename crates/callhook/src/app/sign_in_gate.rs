//! The gate that everybody who signs in passes: it slows down who guesses, by account and by address.
//!
//! A try counts as failed from its beginning on, and is taken back if it was none, so that many tries at once are as many as one by one.
//! What it knows is in memory: a restart forgives, and is nothing that who guesses can bring about.

use domain::Timestamp;
use domain::user::EmailAddress;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Tries in a row that an account has before it waits.
const ACCOUNT_TRIES: u32 = 5;
/// Tries that an address has: behind one there may be an office, or a proxy that everybody comes through.
const ADDRESS_TRIES: u32 = 20;
/// The first wait; each one after it is twice as long.
const WAIT_MIN: Duration = Duration::from_secs(2);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_mins(15);
/// After how long without a try a row of failures is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(24);
/// Accounts, and addresses, that are remembered: some 1 MB each. The one tried longest ago goes.
const REMEMBERED_MAX: usize = 10_000;

/// Knows who failed.
#[derive(Clone, Default)]
pub struct SignInGate(Arc<Mutex<Failed>>);

#[derive(Default)]
struct Failed {
    accounts: Rows<EmailAddress>,
    addresses: Rows<IpAddr>,
}

/// A try, which has failed unless it says otherwise. It knows how the rows stood before it.
pub struct Try {
    gate: SignInGate,
    account: Option<(EmailAddress, Row)>,
    address: (IpAddr, Row),
}

impl SignInGate {
    /// Lets a try in, or says how long to wait. `None` is what can be nobody's account.
    pub fn enter(
        &self,
        account: Option<&EmailAddress>,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Try, Duration> {
        let address = network(address);
        let mut failed = self.failed();
        let of_account = account.map(|account| failed.accounts.wait(account, ACCOUNT_TRIES, now));
        let wait = failed.addresses.wait(&address, ADDRESS_TRIES, now).max(of_account.unwrap_or_default());
        if wait > Duration::ZERO {
            return Err(wait);
        }
        let account = account.map(|account| (account.clone(), failed.accounts.count(account, now)));
        let address = (address, failed.addresses.count(&address, now));
        Ok(Try { gate: self.clone(), account, address })
    }

    fn failed(&self) -> MutexGuard<'_, Failed> {
        // Whole after every step: a panic elsewhere has not left it in between.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Try {
    /// It went well: the account's row of failures ends. The address's does not, or who guesses would sign in as himself in between.
    pub fn succeeded(self) {
        let mut failed = self.gate.failed();
        if let Some((account, _)) = &self.account {
            failed.accounts.0.remove(account);
        }
        failed.addresses.take_back(&self.address);
    }

    /// It was none: nothing was found out by it that was not known.
    pub fn take_back(self) {
        let mut failed = self.gate.failed();
        if let Some(account) = &self.account {
            failed.accounts.take_back(account);
        }
        failed.addresses.take_back(&self.address);
    }
}

/// Rows of failures.
struct Rows<K>(HashMap<K, Row>);

#[derive(Clone, Copy)]
struct Row {
    failures: u32,
    last_at: Timestamp,
    /// Counts each, whatever it came to.
    tries: u64,
}

impl<K> Default for Rows<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash> Rows<K> {
    fn wait(&mut self, key: &K, tries: u32, now: Timestamp) -> Duration {
        let Some(row) = self.0.get_mut(key) else { return Duration::ZERO };
        if now.since(row.last_at) >= FORGOTTEN_AFTER {
            self.0.remove(key);
            return Duration::ZERO;
        }
        // A clock that was set back does not make anybody wait for longer.
        row.last_at = row.last_at.min(now);
        wait_after(row.failures, tries).saturating_sub(now.since(row.last_at))
    }

    /// Counts a try as failed. Answers how its row stood before.
    fn count(&mut self, key: &K, now: Timestamp) -> Row {
        if self.0.len() >= REMEMBERED_MAX && !self.0.contains_key(key) {
            let oldest = self.0.iter().min_by_key(|(_, row)| row.last_at).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.0.remove(&oldest);
            }
        }
        let row = self.0.entry(key.clone()).or_insert(Row { failures: 0, last_at: now, tries: 0 });
        let before = *row;
        *row =
            Row { failures: row.failures.saturating_add(1), last_at: now, tries: row.tries.wrapping_add(1) };
        before
    }

    fn take_back(&mut self, (key, before): &(K, Row)) {
        let Some(row) = self.0.get_mut(key) else { return };
        row.failures = row.failures.saturating_sub(1);
        // Unless there was another: the wait is over when it would have been, or the right password would make the code wait.
        if row.tries == before.tries.wrapping_add(1) {
            row.last_at = before.last_at;
        }
        if row.failures == 0 {
            self.0.remove(key);
        }
    }
}

/// How long to wait after so many failures in a row.
fn wait_after(failures: u32, tries: u32) -> Duration {
    match failures.checked_sub(tries) {
        None => Duration::ZERO,
        Some(more) => WAIT_MIN.saturating_mul(2_u32.saturating_pow(more)).min(WAIT_MAX),
    }
}

/// What one holder of addresses has: of IPv6, at least the last 64 bits are free to choose.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_774_880_000_000).after(Duration::from_secs(seconds))
    }

    fn email(number: usize) -> EmailAddress {
        format!("user{number}@example.com").parse().unwrap()
    }

    fn address(number: usize) -> IpAddr {
        IpAddr::from(u32::try_from(0x0a00_0000 + number).unwrap().to_be_bytes())
    }

    fn wait(gate: &SignInGate, account: usize, from: usize, now: Timestamp) -> Duration {
        gate.enter(Some(&email(account)), address(from), now).map_or_else(|wait| wait, |_| Duration::ZERO)
    }

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        for (failures, seconds) in
            [(0, 0), (4, 0), (5, 2), (6, 4), (7, 8), (13, 512), (14, 900), (99, 900), (u32::MAX, 900)]
        {
            assert_eq!(wait_after(failures, 5), Duration::from_secs(seconds), "{failures}");
        }
    }

    #[test]
    fn an_account_waits_after_five_failures_in_a_row_wherever_they_come_from() {
        let gate = SignInGate::default();
        for from in 0..5 {
            assert_eq!(wait(&gate, 1, from, at(0)), Duration::ZERO);
        }
        assert_eq!(wait(&gate, 1, 9, at(0)), Duration::from_secs(2));
        assert_eq!(wait(&gate, 1, 9, at(1)), Duration::from_secs(1), "who is told to wait has not tried");
        assert_eq!(wait(&gate, 2, 9, at(1)), Duration::ZERO, "another account");
        assert_eq!(wait(&gate, 1, 9, at(2)), Duration::ZERO);
        assert_eq!(wait(&gate, 1, 9, at(2)), Duration::from_secs(4));
        gate.enter(Some(&email(1)), address(9), at(6)).unwrap().succeeded();
        for _ in 0..5 {
            assert_eq!(wait(&gate, 1, 9, at(6)), Duration::ZERO, "a success begins a new row");
        }
    }

    #[test]
    fn an_address_waits_however_many_accounts_it_tries_and_whoever_succeeds_there() {
        let gate = SignInGate::default();
        for account in 0..20 {
            assert_eq!(wait(&gate, account, 1, at(0)), Duration::ZERO);
            if account < 10 {
                gate.enter(Some(&email(99)), address(1), at(0)).unwrap().succeeded();
            }
        }
        assert_eq!(wait(&gate, 99, 1, at(0)), Duration::from_secs(2));
        assert_eq!(wait(&gate, 99, 2, at(0)), Duration::ZERO);
        let nobody = gate.enter(None, address(1), at(0)).err();
        assert_eq!(nobody, Some(Duration::from_secs(2)));
    }

    #[test]
    fn what_was_no_try_is_not_counted() {
        let gate = SignInGate::default();
        for _ in 0..100 {
            gate.enter(Some(&email(1)), address(1), at(0)).unwrap().take_back();
        }
        assert!(gate.failed().accounts.0.is_empty() && gate.failed().addresses.0.is_empty());
    }

    #[test]
    fn what_was_no_try_begins_no_wait_anew() {
        let gate = SignInGate::default();
        let enter = |now| gate.enter(Some(&email(1)), address(1), now);
        for _ in 0..5 {
            wait(&gate, 1, 1, at(0));
        }
        enter(at(2)).unwrap().take_back();
        let (first, second) = (enter(at(2)).unwrap(), enter(at(2)).err());
        assert_eq!(second, Some(Duration::from_secs(4)), "one that is under way counts");
        drop(first);
        let none = enter(at(6)).unwrap();
        assert_eq!(wait(&gate, 1, 1, at(20)), Duration::ZERO, "the one beside it took long");
        none.take_back();
        assert_eq!(wait(&gate, 1, 1, at(20)), Duration::from_secs(8), "and another failed meanwhile");
    }

    #[test]
    fn a_row_is_forgotten_after_a_day_and_a_clock_that_goes_back_makes_nobody_wait_longer() {
        let gate = SignInGate::default();
        let day = 24 * 3_600;
        for _ in 0..5 {
            wait(&gate, 1, 1, at(day));
        }
        assert_eq!(wait(&gate, 1, 1, at(0)), Duration::from_secs(2));
        assert_eq!(wait(&gate, 1, 1, at(2)), Duration::ZERO);
        assert_eq!(wait(&gate, 1, 1, at(3)), Duration::from_secs(3));
        for _ in 0..5 {
            assert_eq!(wait(&gate, 1, 1, at(3 + day)), Duration::ZERO);
        }
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes() {
        let gate = SignInGate::default();
        for number in 0..=REMEMBERED_MAX {
            wait(&gate, number, number, at(number as u64));
        }
        let failed = gate.failed();
        assert_eq!((failed.accounts.0.len(), failed.addresses.0.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(!failed.accounts.0.contains_key(&email(0)) && failed.accounts.0.contains_key(&email(1)));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        for (text, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(network(text.parse().unwrap()), expected.parse::<IpAddr>().unwrap(), "{text}");
        }
    }
}
