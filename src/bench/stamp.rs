//! What stands at the head of each payload: who published it, the how-manieth it is, and when it was due. A receiver on
//! the same machine, in this process or another, reads it.

use std::{fs, sync::LazyLock};

use rustix::time::{ClockId, clock_gettime};

/// Bytes of a stamp: no payload can be smaller.
pub const STAMP: usize = 24;

/// Tells a stamp from the payloads of others. Clocks of different machines are not compared: it is of this boot of this
/// machine, and a stamp of another one counts as a message without a stamp.
static MARK: LazyLock<u32> = LazyLock::new(|| {
    let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    crc32fast::hash(&boot) ^ u32::from_be_bytes(*b"GQB1")
});

/// Who published a message, and when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stamp {
    /// Which run it is of: what an earlier one has left retained does not count for this one.
    pub(super) run: u32,
    /// Nanoseconds of the machine's monotonic clock.
    pub(super) time: u64,
    pub(super) publisher: u32,
    pub(super) sequence: u32,
}

impl Stamp {
    pub(super) fn write(self, payload: &mut [u8]) {
        payload[..4].copy_from_slice(&MARK.to_be_bytes());
        payload[4..8].copy_from_slice(&self.run.to_be_bytes());
        payload[8..16].copy_from_slice(&self.time.to_be_bytes());
        payload[16..20].copy_from_slice(&self.publisher.to_be_bytes());
        payload[20..24].copy_from_slice(&self.sequence.to_be_bytes());
    }

    /// `None` where somebody else has published.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let (mark, rest) = payload.split_first_chunk()?;
        let (run, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (publisher, rest) = rest.split_first_chunk()?;
        let (sequence, _) = rest.split_first_chunk()?;
        (u32::from_be_bytes(*mark) == *MARK).then(|| Self {
            run: u32::from_be_bytes(*run),
            time: u64::from_be_bytes(*time),
            publisher: u32::from_be_bytes(*publisher),
            sequence: u32::from_be_bytes(*sequence),
        })
    }
}

/// Nanoseconds of the monotonic clock, the same for all processes of the machine.
pub(super) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let (seconds, nanoseconds) = (time.tv_sec, time.tv_nsec);
    // Neither is negative.
    seconds.unsigned_abs() * 1_000_000_000 + nanoseconds.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_nothing_else_is() {
        let stamp = Stamp {
            run: 9,
            time: now(),
            publisher: 7,
            sequence: u32::MAX,
        };
        let mut payload = vec![0; STAMP + 3];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(Stamp::read(&payload[..STAMP - 1]), None);
        payload[0] ^= 1;
        assert_eq!(Stamp::read(&payload), None);
    }
}
