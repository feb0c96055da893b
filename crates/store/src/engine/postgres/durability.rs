//! What the server's settings mean for what was acknowledged: what outlives a crash, and what a failover.
//!
//! Writes are made with `synchronous_commit` on where it is off; all else is the operator's to set, and is only told.

/// How much of what was acknowledged may be lost, as the server is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durability {
    /// What the user, the database or the server says, whatever this session has set.
    pub(super) synchronous_commit: String,
    pub(super) fsync: String,
    pub(super) full_page_writes: String,
    pub(super) synchronous_standby_names: String,
}

/// A sentence about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Good to know.
    Note(String),
    /// Something acknowledged may be lost, and what to do.
    Warning(String),
}

impl Durability {
    /// Everything that is to be said, in order of weight; at least one.
    #[must_use]
    pub fn remarks(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        if self.fsync == "off" {
            remarks.push(Remark::Warning(
                "the server syncs nothing to its disk (fsync = off), so that a crash of its machine may lose acknowledged calls or the whole database: set fsync = on there"
                    .to_owned(),
            ));
        }
        if self.full_page_writes == "off" {
            remarks.push(Remark::Warning(
                "a loss of power may leave torn pages in the database (full_page_writes = off), unless the server's file system rules that out: set full_page_writes = on there"
                    .to_owned(),
            ));
        }
        remarks.push(self.commit());
        remarks
    }

    fn commit(&self) -> Remark {
        let Self { synchronous_commit, synchronous_standby_names: standbys, .. } = self;
        if standbys.is_empty() {
            let own = if synchronous_commit == "off" {
                ", also with the synchronous_commit = off that is set here: callhook's own writes turn it on"
            } else {
                ""
            };
            return Remark::Note(format!(
                "what is acknowledged is on the disk of the server{own}; no synchronous standby is set (synchronous_standby_names is empty), so that a failover may lose the last moments"
            ));
        }
        match synchronous_commit.as_str() {
            "local" => Remark::Warning(format!(
                "what is acknowledged need not be on a standby yet (synchronous_commit = local, with the standbys {standbys}), so that a failover may lose the last moments: set synchronous_commit = on for callhook's user"
            )),
            "remote_write" => Remark::Warning(format!(
                "what is acknowledged need not be on a standby's disk yet (synchronous_commit = remote_write, with the standbys {standbys}), so that it may be lost if the server and the standby's machine fail together: set synchronous_commit = on for callhook's user"
            )),
            _ => Remark::Note(format!(
                "what is acknowledged is on the disk of the server and of its synchronous standbys ({standbys})"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(settings: [&str; 4], expected: &[(bool, &str)]) {
        let [synchronous_commit, fsync, full_page_writes, synchronous_standby_names] =
            settings.map(str::to_owned);
        let durability =
            Durability { synchronous_commit, fsync, full_page_writes, synchronous_standby_names };
        let remarks = durability.remarks();
        assert_eq!(remarks.len(), expected.len(), "{remarks:?}");
        for (remark, (is_warning, words)) in remarks.iter().zip(expected) {
            let (Remark::Note(text) | Remark::Warning(text)) = remark;
            assert_eq!(matches!(remark, Remark::Warning(_)), *is_warning, "{text}");
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn what_may_be_lost_is_a_warning_and_what_may_not_a_note() {
        check(["on", "on", "on", ""], &[(false, "no synchronous standby")]);
        check(["local", "on", "on", ""], &[(false, "no synchronous standby")]);
        check(["off", "on", "on", ""], &[(false, "turn it on")]);
        check(["on", "on", "on", "ANY 1 (a, b)"], &[(false, "standbys (ANY 1 (a, b))")]);
        check(["off", "on", "on", "a"], &[(false, "standbys (a)")]);
        check(["remote_apply", "on", "on", "a"], &[(false, "standbys (a)")]);
        check(["local", "on", "on", "a"], &[(true, "= local")]);
        check(["remote_write", "on", "on", "a"], &[(true, "= remote_write")]);
        check(
            ["on", "off", "off", ""],
            &[(true, "fsync = on"), (true, "full_page_writes = on"), (false, "no synchronous standby")],
        );
    }
}
