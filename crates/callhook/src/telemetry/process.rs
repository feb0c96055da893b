//! What the system says of this process.

use procfs::process::{LimitValue, Process};
use std::sync::OnceLock;

/// The process at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessFigures {
    /// Seconds of processor time, the system's included.
    pub cpu_seconds: f64,
    /// Bytes in memory.
    pub resident_bytes: u64,
    /// Bytes of address space.
    pub virtual_bytes: u64,
    /// Open files and connections.
    pub open_files: u64,
    /// How many it may have open; `None`: as many as it wants.
    pub open_files_max: Option<u64>,
    /// Threads.
    pub threads: u64,
    /// Seconds from 1970 to its start.
    pub start_seconds: f64,
}

/// Read once: the kernel's time of the boot moves with the clock, and a change of the start would look like a restart.
static START_SECONDS: OnceLock<f64> = OnceLock::new();

impl ProcessFigures {
    /// As the system has them now; `None` where it does not say.
    #[must_use]
    pub fn read() -> Option<Self> {
        Self::of_this_process().ok()
    }

    #[expect(clippy::cast_precision_loss, reason = "ticks and seconds stay far below 2^52")]
    fn of_this_process() -> procfs::ProcResult<Self> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let ticks_per_second = procfs::ticks_per_second() as f64;
        let booted_at_seconds = procfs::boot_time_secs()? as f64;
        let open_files_max = match process.limits()?.max_open_files.soft_limit {
            LimitValue::Value(files) => Some(files),
            LimitValue::Unlimited => None,
        };
        Ok(Self {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks_per_second,
            resident_bytes: stat.rss * procfs::page_size(),
            virtual_bytes: stat.vsize,
            open_files: process.fd_count()? as u64,
            open_files_max,
            threads: u64::try_from(stat.num_threads).unwrap_or(0),
            start_seconds: *START_SECONDS
                .get_or_init(|| booted_at_seconds + stat.starttime as f64 / ticks_per_second),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_read() {
        let read = ProcessFigures::of_this_process().unwrap();
        assert!(read.resident_bytes > 1_000_000 && read.resident_bytes < read.virtual_bytes, "{read:?}");
        assert!(read.open_files > 2 && read.threads > 0, "{read:?}");
        // After 2020.
        assert!(read.start_seconds > 1.6e9, "{read:?}");
    }
}
