//! Sessions of pages, in memory: a random secret in a cookie, kept as its hash; bounded in number, in rest and in age.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;

use super::{Options, Principal, Secret, TokenHash};
use crate::model::{Millis, Timestamp};

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whose.
    pub principal: SmolStr,
    /// The token that began it, and with which it ends.
    pub token: TokenHash,
    /// It ends then in any case.
    pub ends: Timestamp,
    used: Timestamp,
    /// Counted from 1: of two that rested equally long, the older one.
    number: u64,
}

/// A session that was begun.
#[derive(Debug)]
pub struct Begun {
    /// Whose.
    pub principal: Arc<Principal>,
    /// For the cookie.
    pub secret: Secret,
    /// It ends then in any case.
    pub ends: Timestamp,
}

/// No session can be begun: there are too many, or no randomness to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// All of them, by the hash of their secret.
#[derive(Debug)]
pub struct Sessions {
    all: BTreeMap<TokenHash, Session>,
    begun: u64,
    idle: Millis,
    age_max: Millis,
    max: usize,
    per_principal_max: usize,
}

impl Sessions {
    /// None yet.
    pub fn new(o: &Options) -> Self {
        Self {
            all: BTreeMap::new(),
            begun: 0,
            idle: o.session_idle,
            age_max: o.session_age_max,
            max: o.sessions_max,
            per_principal_max: o.sessions_per_principal_max.get(),
        }
    }

    /// Begins one. Of one principal's too many, the one that rested longest ends; of too many in all, none is begun, so that
    /// nobody can end another's.
    pub fn begin(&mut self, principal: Arc<Principal>, token: TokenHash, now: Timestamp) -> Result<Begun, Full> {
        self.sweep(now);
        let own = self.all.iter().filter(|(_, s)| s.principal == principal.id);
        let mut own: Vec<_> = own.map(|(key, s)| (s.used, s.number, *key)).collect();
        own.sort_unstable();
        let surplus = (own.len() + 1).saturating_sub(self.per_principal_max);
        own.iter().take(surplus).for_each(|(_, _, key)| drop(self.all.remove(key)));
        if self.all.len() >= self.max {
            return Err(Full);
        }
        let secret = Secret::random().map_err(|_| Full)?;
        let ends = now + self.age_max;
        self.begun += 1;
        let session = Session { principal: principal.id.clone(), token, ends, used: now, number: self.begun };
        self.all.insert(TokenHash::of(secret.reveal()), session);
        Ok(Begun { principal, secret, ends })
    }

    /// The session of this key, which is in use now.
    pub fn touch(&mut self, key: &TokenHash, now: Timestamp) -> Option<Session> {
        let idle = self.idle;
        let session = self.all.get_mut(key)?;
        if session.is_over(idle, now) {
            self.all.remove(key);
            return None;
        }
        session.used = now;
        Some(session.clone())
    }

    /// The session of this key.
    pub fn get(&self, key: &TokenHash) -> Option<&Session> {
        self.all.get(key)
    }

    /// Ends one. Whether there was one.
    pub fn end(&mut self, key: &TokenHash) -> bool {
        self.all.remove(key).is_some()
    }

    /// Ends those that are over.
    pub fn sweep(&mut self, now: Timestamp) {
        let idle = self.idle;
        self.all.retain(|_, session| !session.is_over(idle, now));
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.all.len()
    }
}

impl Session {
    fn is_over(&self, idle: Millis, now: Timestamp) -> bool {
        now >= self.ends || now >= self.used + idle
    }
}

impl Secret {
    /// What a page must send back in a header with whatever changes something: it follows from the session's secret, which
    /// neither another site nor a script of this one can read, and says nothing about it.
    #[must_use]
    pub fn csrf(cookie: &str) -> String {
        TokenHash::of(&format!("muster-csrf {cookie}")).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(max: usize, own: usize) -> Sessions {
        Sessions::new(&Options {
            sessions_max: max,
            sessions_per_principal_max: own.try_into().unwrap(),
            session_idle: Millis(100),
            session_age_max: Millis(250),
            ..Options::default()
        })
    }

    fn principal(id: &str) -> Arc<Principal> {
        Arc::new(Principal { id: id.into(), ..Principal::open() })
    }

    #[test]
    fn a_session_ends_by_rest_by_age_and_by_word() {
        let mut all = sessions(10, 10);
        let mut begin = |at| {
            let begun = all.begin(principal("a"), TokenHash::NOBODY, Timestamp(at)).unwrap();
            TokenHash::of(begun.secret.reveal())
        };
        let (rests, lasts) = (begin(0), begin(0));
        for at in [90, 180, 249] {
            assert!(all.touch(&lasts, Timestamp(at)).is_some(), "{at}");
        }
        assert!(all.touch(&rests, Timestamp(100)).is_none());
        assert!(all.touch(&lasts, Timestamp(250)).is_none());
        assert_eq!(all.len(), 0);
        let begun = all.begin(principal("a"), TokenHash::NOBODY, Timestamp(300)).unwrap();
        let key = TokenHash::of(begun.secret.reveal());
        assert!(all.end(&key) && !all.end(&key) && all.touch(&key, Timestamp(300)).is_none());
    }

    #[test]
    fn too_many_of_one_end_its_own_and_too_many_in_all_end_nobodys() {
        let mut all = sessions(3, 2);
        let mut begin = |id: &str, at| {
            let begun = all.begin(principal(id), TokenHash::NOBODY, Timestamp(at));
            begun.map(|b| TokenHash::of(b.secret.reveal()))
        };
        let first = begin("a", 0).unwrap();
        let second = begin("a", 0).unwrap();
        let third = begin("a", 0).unwrap();
        begin("b", 3).unwrap();
        assert_eq!(begin("c", 4), Err(Full));
        assert!(all.get(&first).is_none() && all.get(&second).is_some() && all.get(&third).is_some());
    }
}
