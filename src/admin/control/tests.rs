use std::{
    io::{self, Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tempfile::TempDir;

use super::{client::request_within, *};
use crate::admin::DataDir;

#[derive(Default)]
struct Fake {
    rejects: bool,
    stopped: AtomicBool,
}

impl Control for Fake {
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<Report, Vec<String>>> + Send + '_>> {
        let result = if self.rejects {
            Err(vec!["gatemq.toml:3:1: unknown key".to_owned()])
        } else {
            Ok(Report {
                changed: vec!["certificate of a.example".to_owned()],
                ..Report::default()
            })
        };
        Box::pin(async {
            tokio::task::yield_now().await;
            result
        })
    }

    fn status(&self) -> Status {
        Status {
            version: "1".into(),
            connections: 7,
            ..Status::default()
        }
    }

    fn copy(
        &self,
        form: Form,
        to: Chunks,
    ) -> Pin<Box<dyn Future<Output = Result<Copied, String>> + Send + '_>> {
        Box::pin(async move {
            for number in 0..100_u8 {
                // Whoever has gone does not want it.
                let _ = to.send(vec![number; CHUNK]).await;
            }
            match form {
                Form::Backup => Ok(Copied {
                    rows: 3,
                    damaged: 0,
                }),
                Form::Export => Err("the disk is gone".to_owned()),
            }
        })
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }
}

/// Runs a control server, and `work` on another thread.
fn with_server<T: Send + 'static>(
    control: Arc<Fake>,
    work: impl FnOnce(&Path) -> T + Send + 'static,
) -> T {
    let parent = tempfile::tempdir().unwrap();
    let data_dir = DataDir::acquire(&parent.path().join("data")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let path = data_dir.path().to_owned();
    runtime.block_on(async {
        let listener = listen(&data_dir).unwrap();
        let work = tokio::task::spawn_blocking(move || work(&path));
        tokio::select! {
            () = serve(listener, control) => unreachable!("it serves for ever"),
            result = work => result.unwrap(),
        }
    })
}

/// What comes back for these bytes, until the server closes.
fn raw(data_dir: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(data_dir.join(SOCKET)).unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn each_command_has_its_answer() {
    let control = Arc::new(Fake::default());
    let seen = control.clone();
    with_server(control, move |data_dir| {
        let Reply::Status(status) = request(data_dir, Command::Status).unwrap() else {
            panic!("no status")
        };
        assert_eq!((status.version.as_str(), status.connections), ("1", 7));
        let Reply::Reloaded(report) = request(data_dir, Command::Reload).unwrap() else {
            panic!("not reloaded")
        };
        assert_eq!(report.changed, ["certificate of a.example"]);
        assert!(!seen.stopped.load(Ordering::SeqCst));
        let pid = std::process::id();
        assert_eq!(
            request(data_dir, Command::Stop).unwrap(),
            Reply::Stopping { pid }
        );
        // The next answer comes from the same thread, after the stop.
        request(data_dir, Command::Status).unwrap();
        assert!(seen.stopped.load(Ordering::SeqCst));
    });
}

#[test]
fn a_rejected_reload_brings_its_errors() {
    let control = Arc::new(Fake {
        rejects: true,
        ..Fake::default()
    });
    let reply = with_server(control, |data_dir| request(data_dir, Command::Reload));
    let errors = vec!["gatemq.toml:3:1: unknown key".to_owned()];
    assert_eq!(reply.unwrap(), Reply::Rejected { errors });
}

#[test]
fn one_connection_may_ask_several_times() {
    let answer = with_server(Arc::default(), |data_dir| {
        raw(
            data_dir,
            b"{\"command\":\"status\"}\n{\"command\":\"reload\"}\n",
        )
    });
    let lines: Vec<&str> = answer.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("{\"reply\":\"status\""), "{answer}");
    assert!(lines[1].starts_with("{\"reply\":\"reloaded\""), "{answer}");
}

#[test]
fn garbage_is_answered_and_ends_the_connection() {
    with_server(Arc::default(), |data_dir| {
        for bytes in [
            b"hello\n".as_slice(),
            b"\xff\xfe\n",
            b"\n",
            b"{\"command\":\"explode\"}\n",
            b"{\"command\":\"status\"", // ends in the middle
        ] {
            let answer = raw(data_dir, bytes);
            assert!(
                answer.starts_with("{\"reply\":\"error\",\"message\":\"this is no request: "),
                "{answer}"
            );
            assert_eq!(answer.lines().count(), 1);
        }
        assert_eq!(raw(data_dir, b""), "");
    });
}

#[test]
fn a_request_has_a_limit() {
    with_server(Arc::default(), |data_dir| {
        let padded = |length: usize| {
            let command = b"{\"command\":\"status\"}";
            let mut line = vec![b' '; length - command.len() - 1];
            line.splice(0..0, *command);
            line.push(b'\n');
            line
        };
        let within = raw(data_dir, &padded(16 * 1024));
        assert!(within.starts_with("{\"reply\":\"status\""), "{within}");
        let mut stream = UnixStream::connect(data_dir.join(SOCKET)).unwrap();
        stream.write_all(&padded(16 * 1024 + 1)).unwrap();
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.contains("at most 16384 bytes"), "{answer}");
    });
}

#[test]
fn the_socket_is_for_its_owner() {
    let mode = with_server(Arc::default(), |data_dir| {
        let socket = data_dir.join(SOCKET).metadata().unwrap();
        socket.permissions().mode() & 0o777
    });
    assert_eq!(mode, 0o600);
}

#[test]
fn without_a_broker_the_directory_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let check = || {
        let error = request(parent.path(), Command::Status).unwrap_err();
        let expected = format!(
            "no broker runs with data_dir {}: start",
            parent.path().display()
        );
        assert!(matches!(error, Unreachable::NotRunning { .. }));
        assert!(error.to_string().starts_with(&expected), "{error}");
    };
    check();
    // A crash leaves the socket without anybody behind it.
    drop(UnixListener::bind(parent.path().join(SOCKET)).unwrap());
    check();
}

#[test]
fn a_path_too_long_is_named_with_what_to_do() {
    let path_of = |length: usize| PathBuf::from("/".to_owned() + &"x".repeat(length - 1));
    let longest = MAX_SOCKET_PATH - SOCKET.len() - 1;
    assert!(socket_path(&path_of(longest)).is_ok());
    let error = request(&path_of(longest + 1), Command::Status).unwrap_err();
    assert!(
        error.to_string().contains("choose a shorter data_dir"),
        "{error}"
    );
}

#[test]
fn a_broker_that_does_not_answer_is_given_up() {
    let parent = TempDir::new().unwrap();
    let _listener = UnixListener::bind(parent.path().join(SOCKET)).unwrap();
    let patience = Duration::from_millis(20);
    let error = request_within(parent.path(), &Command::Status, patience).unwrap_err();
    assert!(matches!(error, Unreachable::TimedOut { .. }), "{error:?}");
}

#[test]
fn an_answer_of_another_kind_is_not_understood() {
    let parent = TempDir::new().unwrap();
    let listener = UnixListener::bind(parent.path().join(SOCKET)).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n").unwrap();
    });
    let error = request(parent.path(), Command::Status).unwrap_err();
    assert!(
        matches!(error, Unreachable::NotUnderstood { .. }),
        "{error:?}"
    );
    server.join().unwrap();
}

/// A copy comes whole and in order, with what it has come to behind it; whoever goes away does not hold it up.
#[test]
fn a_copy_is_sent_in_parts() {
    let parts = with_server(Arc::default(), |path| {
        let mut whole = Vec::new();
        let reply = copy(path, Form::Backup, &mut whole).unwrap();
        let copied = Copied {
            rows: 3,
            damaged: 0,
        };
        assert_eq!(reply, Reply::Copied(copied));
        let reply = copy(path, Form::Export, &mut io::sink()).unwrap();
        assert!(matches!(&reply, Reply::Error { message } if message == "the disk is gone"));
        let full = copy(path, Form::Backup, &mut &mut [0; 100][..]);
        assert!(matches!(full, Err(Interrupted::Output(_))), "{full:?}");
        // The one that was left goes on to its end for nobody, and others are served.
        request(path, Command::Status).unwrap();
        whole
    });
    assert_eq!(parts.len(), 100 * CHUNK);
    for (number, part) in (0..).zip(parts.chunks(CHUNK)) {
        assert!(part.iter().all(|byte| *byte == number), "part {number}");
    }
}
