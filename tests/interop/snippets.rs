//! What `gatemq snippet` prints, run as it is printed: over each transport it has, with a user name and without. MQTTnet is
//! not among them: NuGet is not where the tests get their packages from.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    broker::{Broker, Transport},
    program::Program,
};

/// What the programs publish to; quotes and spaces are part of the test.
const TOPIC: &str = r#"demo/it's "quoted""#;

/// Where browser/snippet.mjs has its page.
const ORIGINS: &str = "[websocket]\nallowed_origins = [\"http://pages.example\"]";

/// How often a command says something again to one that may not listen yet, and the pause between.
const ATTEMPTS: usize = 300;
const PAUSE: Duration = Duration::from_millis(100);

/// A snippet in a folder of its own.
struct Printed {
    folder: TempDir,
    file: PathBuf,
    /// The authority that the broker's certificate leads to.
    ca: PathBuf,
}

/// Prints a snippet into the file that it wants to be.
async fn print(broker: &Broker, id: &str, file: &str, transport: Transport, user: &str) -> Printed {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatemq"));
    command.args(["snippet", id, &broker.url(transport), "-t", TOPIC]);
    if transport.is_secure() {
        command.arg("--cafile").arg(broker.ca());
    }
    if !user.is_empty() {
        command.args(["-u", user]);
    }
    let text = Program::start(command).succeeds().await.join("\n");
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join(file);
    fs::write(&file, text + "\n").expect("a file");
    let ca = broker.ca();
    Printed { folder, file, ca }
}

/// What runs a printed program, after it is compiled where that is needed.
type Prepare = fn(&Printed) -> Vec<Command>;

/// Over each transport: prints it, runs all commands but the last to their end, and waits for the greeting of the last.
async fn run(id: &str, file: &str, transports: &[Transport], prepare: Prepare) {
    let broker = Broker::start(ORIGINS).await;
    for transport in transports {
        for user in ["", r#"o'brien "the \ user""#] {
            let printed = print(&broker, id, file, *transport, user).await;
            let mut commands = prepare(&printed);
            let mut last = commands.pop().expect("something to run");
            for mut command in commands {
                command.current_dir(printed.folder.path());
                Program::start(command).succeeds().await;
            }
            last.current_dir(printed.folder.path());
            last.env("MQTT_PASSWORD", "secret");
            let mut program = Program::start(last);
            greeted(&mut program).await;
            program.kill().await;
        }
    }
}

/// The line with the greeting comes, whatever comes before it.
async fn greeted(program: &mut Program) {
    let greeting = format!("{TOPIC} hello from ");
    while !program.line().await.starts_with(&greeting) {}
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Something that `tests/run install` has put there.
fn installed(path: &str) -> PathBuf {
    let path = repository(path);
    assert!(
        path.exists(),
        "{} is not there; `tests/run install` installs it",
        path.display()
    );
    path
}

fn command(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

#[tokio::test]
async fn mqttjs() {
    run("mqttjs", "hello.mjs", &Transport::ALL, |printed| {
        let packages = installed("tests/interop/node_modules");
        let link = printed.folder.path().join("node_modules");
        std::os::unix::fs::symlink(packages, link).expect("a link");
        vec![command("node", &["hello.mjs"])]
    })
    .await;
}

/// In Chromium, from a page of another origin.
#[tokio::test]
async fn paho_javascript() {
    run(
        "paho-js",
        "hello.html",
        &[Transport::Ws, Transport::Wss],
        |printed| {
            let script = installed("tests/interop/node_modules/paho-mqtt");
            let script = script.join("../../browser/snippet.mjs");
            let mut command = command("node", &[]);
            command
                .arg(script)
                .arg("hello.html")
                .arg("--ca")
                .arg(&printed.ca);
            vec![command]
        },
    )
    .await;
}

#[tokio::test]
async fn rumqttc() {
    run("rumqttc", "main.rs", &Transport::ALL, |printed| {
        // Under a name of its own: the client of the matrix lies in the same folder.
        for file in ["Cargo.toml", "Cargo.lock"] {
            let pinned = repository("tests/interop/rumqttc").join(file);
            let text = fs::read_to_string(pinned).expect("a file");
            let text = text.replace("interop-rumqttc", "snippet-rumqttc");
            fs::write(printed.folder.path().join(file), text).expect("a copy");
        }
        let source = printed.folder.path().join("src");
        fs::create_dir(&source).expect("a folder");
        fs::rename(&printed.file, source.join("main.rs")).expect("a file that is there");
        // What it depends on is compiled there already.
        let target = installed("target/interop/rumqttc");
        let mut cargo = command(
            "cargo",
            &["build", "--quiet", "--locked", "--offline", "--target-dir"],
        );
        cargo.arg(&target);
        vec![cargo, command(target.join("debug/snippet-rumqttc"), &[])]
    })
    .await;
}

#[tokio::test]
async fn paho_python() {
    run("paho-python", "hello.py", &Transport::ALL, |_| {
        vec![command(
            installed("target/interop/bin/python"),
            &["hello.py"],
        )]
    })
    .await;
}

#[tokio::test]
async fn paho_java() {
    run("paho-java", "Hello.java", &Transport::ALL, java).await;
}

#[tokio::test]
async fn hivemq_java() {
    run("hivemq-java", "Hello.java", &Transport::ALL, java).await;
}

fn java(_: &Printed) -> Vec<Command> {
    let libraries = installed("target/interop/java/libraries").join("*");
    let mut command = command("java", &["-Dfile.encoding=UTF-8", "-cp"]);
    command.arg(libraries).arg("Hello.java");
    vec![command]
}

#[tokio::test]
async fn paho_go() {
    run("paho-go", "hello.go", &Transport::ALL, |printed| {
        for file in ["go.mod", "go.sum"] {
            let pinned = repository("tests/interop/go").join(file);
            fs::copy(pinned, printed.folder.path().join(file)).expect("a copy");
        }
        // Not `go run`: that is another process than the program, and killing it would leave the program behind.
        vec![
            command("go", &["build", "-o", "hello", "hello.go"]),
            command("./hello", &[]),
        ]
    })
    .await;
}

#[tokio::test]
async fn paho_c() {
    run("paho-c", "hello.c", &Transport::ALL, |_| {
        vec![
            command("cc", &["hello.c", "-o", "hello", "-lpaho-mqtt3cs"]),
            command("./hello", &[]),
        ]
    })
    .await;
}

#[tokio::test]
async fn paho_cpp() {
    run("paho-cpp", "hello.cpp", &Transport::ALL, |_| {
        vec![
            command(
                "c++",
                &[
                    "hello.cpp",
                    "-o",
                    "hello",
                    "-lpaho-mqttpp3",
                    "-lpaho-mqtt3as",
                ],
            ),
            command("./hello", &[]),
        ]
    })
    .await;
}

/// The shell prints no greeting by itself: the lines of the snippet are for two terminals.
#[tokio::test]
async fn mosquitto() {
    in_two_terminals(
        "mosquitto",
        &[Transport::Tcp, Transport::Tls, Transport::Wss],
    )
    .await;
}

/// Only where it speaks MQTT.
#[tokio::test]
async fn curl() {
    in_two_terminals("curl", &[Transport::Tcp]).await;
}

/// The first command of the snippet receives what the second publishes, which is said again until the first listens.
async fn in_two_terminals(id: &str, transports: &[Transport]) {
    let broker = Broker::start("").await;
    for transport in transports {
        let printed = print(&broker, id, "hello.sh", *transport, "o'brien").await;
        let text = fs::read_to_string(&printed.file).expect("the file");
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let [receiving, publishing] = lines[..] else {
            panic!("two commands in {text}")
        };
        let shell = |line: &str| {
            let mut command = command("sh", &["-c", &format!("exec {line}")]);
            command.env("MQTT_PASSWORD", "secret");
            command.current_dir(printed.folder.path());
            command
        };
        // Into a file: curl ends no line, and a pipe would be read by lines.
        let received = printed.folder.path().join("received");
        let first = Program::start(shell(&format!("{receiving} > received")));
        let greeted = || {
            let bytes = fs::read(&received).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains("hello from ")
        };
        for _ in 0..ATTEMPTS {
            Program::start(shell(publishing)).succeeds().await;
            if greeted() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        assert!(greeted(), "nothing came of {text}");
        first.kill().await;
    }
}
