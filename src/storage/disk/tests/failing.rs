//! What was told to a store that fails, or to one for which too much waits.

use super::{super::faults, *};
use crate::storage::disk::faults::Fault;

fn recover(disk: &Disk, path: &Path) {
    faults::set(path, None);
    while disk.shared.engine.lock().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn queued(id: u64, place: u64) -> Change {
    let message = message("t", &place.to_string(), QoS::AtLeastOnce);
    Change::MessageQueued(SessionId(id), place, delivery(&message))
}

fn places(session: &StoredSession) -> Vec<u64> {
    session.queue.iter().map(|(place, _)| *place).collect()
}

/// Its end was in the batch that failed.
#[test]
fn a_session_that_ends_as_the_store_fails_is_over() {
    for fault in [Fault::Refused, Fault::Doubtful] {
        let directory = TempDir::new().unwrap();
        let disk = open(directory.path());
        keep(&disk, vec![saved(1), queued(1, 5)]).unwrap();
        faults::set(directory.path(), Some(fault));
        disk.commit(vec![Change::SessionEnded(SessionId(1))], None);
        let _ = keep(&disk, Vec::new());
        recover(&disk, directory.path());
        drop(disk);
        let (_, sessions) = contents(&open(directory.path()));
        assert_eq!(sessions, []);
    }
}

/// It is in the store, though its publisher was told that it is not, and will send it again.
#[test]
fn what_was_refused_and_written_is_taken_back() {
    let directory = TempDir::new().unwrap();
    let disk = open(directory.path());
    keep(&disk, vec![saved(1)]).unwrap();
    faults::set(directory.path(), Some(Fault::Doubtful));
    let received = Change::Received(SessionId(1), NonZeroU16::MIN);
    keep(&disk, vec![queued(1, 5), received]).unwrap_err();
    recover(&disk, directory.path());
    drop(disk);
    let (_, sessions) = contents(&open(directory.path()));
    assert!(places(&sessions[0]).is_empty());
    assert!(sessions[0].received.is_empty());
}

/// Retained messages that wait by topic do not overtake the ones that came after them.
#[test]
fn the_last_retained_message_is_kept() {
    let directory = TempDir::new().unwrap();
    let mut disk = open(directory.path());
    let retained = |topic: usize, payload| {
        let message = message(&format!("r/{topic}"), payload, QoS::AtMostOnce);
        vec![Change::RetainedSet(message)]
    };
    for topic in 0..100 {
        disk.max_pending = 0;
        disk.commit(retained(topic, "first"), None);
        disk.max_pending = usize::MAX;
        disk.commit(retained(topic, "last"), None);
    }
    drop(disk);
    let (retained, _) = contents(&open(directory.path()));
    assert_eq!(retained.len(), 100);
    assert!(
        retained.iter().all(|(_, payload)| payload == b"last"),
        "{retained:?}"
    );
}

/// A message that was to move from one queue to another stays where it is.
#[test]
fn what_is_handed_on_while_the_store_fails_is_not_lost() {
    let directory = TempDir::new().unwrap();
    let mut disk = open(directory.path());
    keep(&disk, vec![saved(1), saved(2), queued(1, 5)]).unwrap();
    let hand_on = |place| vec![queued(2, place), Change::MessageDropped(SessionId(1), 5)];
    faults::set(directory.path(), Some(Fault::Refused));
    keep(&disk, hand_on(6)).unwrap_err();
    recover(&disk, directory.path());
    disk.max_pending = 0;
    keep(&disk, hand_on(7)).unwrap_err();
    drop(disk);
    let (_, sessions) = contents(&open(directory.path()));
    assert_eq!(
        [places(&sessions[0]), places(&sessions[1])],
        [vec![5], vec![]]
    );
}

/// Whoever was to give way to a message that was refused is kept, even where it comes after that.
#[test]
fn what_has_not_come_yet_gives_way_to_nothing_refused() {
    let directory = TempDir::new().unwrap();
    let disk = open(directory.path());
    keep(&disk, vec![saved(1), saved(2)]).unwrap();
    faults::set(directory.path(), Some(Fault::Refused));
    let changes = vec![queued(2, 6), Change::MessageDropped(SessionId(1), 5)];
    keep(&disk, changes).unwrap_err();
    recover(&disk, directory.path());
    keep(&disk, vec![queued(1, 5)]).unwrap();
    drop(disk);
    let (_, sessions) = contents(&open(directory.path()));
    assert_eq!(places(&sessions[0]), [5]);
}

/// What is refused for want of room is refused alone: the rest of its transaction is kept, and its place is free.
#[test]
fn too_much_is_refused_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let mut disk = open(directory.path());
    keep(&disk, vec![saved(1)]).unwrap();
    disk.max_pending = 0;
    let retained = |payload| Change::RetainedSet(message("r", payload, QoS::AtLeastOnce));
    keep(&disk, vec![retained("1"), queued(1, 5)]).unwrap_err();
    // Nobody waits for this one: the last of its topic is kept.
    disk.commit(vec![retained("2")], None);
    keep(&disk, vec![Change::MessageDropped(SessionId(1), 5)]).unwrap();
    disk.max_pending = usize::MAX;
    keep(&disk, vec![queued(1, 6)]).unwrap();
    drop(disk);
    let (retained, sessions) = contents(&open(directory.path()));
    assert_eq!(retained, [("r".to_owned(), b"2".to_vec())]);
    assert_eq!(places(&sessions[0]), [6]);
}

/// Whoever waits is told, even by a store that is closed before it works again.
#[test]
fn a_store_that_closes_while_it_fails_answers_everybody() {
    let directory = TempDir::new().unwrap();
    let disk = open(directory.path());
    keep(&disk, vec![saved(1)]).unwrap();
    faults::set(directory.path(), Some(Fault::Refused));
    keep(&disk, vec![queued(1, 5)]).unwrap_err();
    let (told, answers) = std::sync::mpsc::channel();
    let (receipt, answer) = (told.clone(), told);
    // A step that is tried again, and a page that is read again, until the store works.
    let step = vec![Change::MessageReleased(SessionId(1), 4)];
    disk.commit(
        step,
        Some(Box::new(move |kept| {
            receipt.send(kept.is_ok()).expect("room")
        })),
    );
    disk.read(
        SessionId(1),
        0,
        9,
        Box::new(move |read| answer.send(read.is_ok()).expect("room")),
    );
    disk.close();
    assert_eq!(answers.iter().collect::<Vec<_>>(), [false, false]);
    faults::set(directory.path(), None);
}
