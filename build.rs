//! Builds the page of `web/` with Node and npm, and writes `assets.rs` in `OUT_DIR`: the files that `src/admin/assets.rs`
//! embeds. Nothing is written outside `OUT_DIR`.
//!
//! Where there is no Node, or npm cannot fetch what it needs, the broker is built all the same, with the plain page of
//! `web/fallback/`, and one warning names the fix. A mistake in the sources of the page fails the build, as one in Rust
//! does. Two variables decide otherwise; they do not begin with `GATEMQ_`, which the broker reads as its configuration:
//!
//! - `BUILD_GATEMQ_PAGE`: `require` fails the build where the page cannot be built, `skip` leaves it out.
//! - `BUILD_GATEMQ_PAGE_FROM`: a directory in which `web/build.mjs` has built the page already.

use std::{
    env, fmt, fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// What esbuild asks for, and what Debian 12 has.
const OLDEST_NODE: u32 = 18;

/// What `web/build.mjs` exits with where the sources are at fault, not the tools.
const SOURCES_AT_FAULT: i32 = 1;

/// The sources of the page: each is watched, and nothing else in `web/`, where `node_modules` may lie.
const SOURCES: [&str; 8] = [
    "src",
    "build.mjs",
    "icon.svg",
    "index.html",
    "package.json",
    "package-lock.json",
    "style.css",
    "tsconfig.json",
];

/// Why there is no page.
enum Failure {
    /// It was not asked for.
    Skipped,
    /// A tool is missing or cannot do its work: the plain page does.
    Tools(String),
    /// The sources are at fault: nothing else does.
    Sources(String),
}

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    for name in ["BUILD_GATEMQ_PAGE", "BUILD_GATEMQ_PAGE_FROM", "DOCS_RS"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    for source in SOURCES {
        watch(&root.join("web").join(source));
    }
    let wanted = env::var("BUILD_GATEMQ_PAGE").unwrap_or_default();
    let built = match wanted.as_str() {
        "skip" => Err(Failure::Skipped),
        "" | "require" => page(&root.join("web"), &out.join("web")),
        other => {
            return Err(format!(
                "BUILD_GATEMQ_PAGE is \"{other}\": it may be \"require\" or \"skip\""
            ));
        }
    };
    let files = match built {
        Ok(directory) => files(&directory).map_err(|error| reading(&directory, &error))?,
        Err(Failure::Sources(message)) => return Err(message),
        Err(Failure::Tools(message)) if wanted == "require" => {
            return Err(format!("the page cannot be built: {message}"));
        }
        Err(Failure::Tools(message)) => {
            // Not rebuilt by itself once Node is there: watching for that would compile the broker anew each time.
            println!(
                "cargo:warning=the page is left out, a plain one without scripts stands in for it: {message}. \
                 Install Node.js {OLDEST_NODE} or later with npm, let npm reach its registry once, then `touch build.rs` \
                 and build again (BUILD_GATEMQ_PAGE=skip silences this)"
            );
            Vec::new()
        }
        Err(Failure::Skipped) => Vec::new(),
    };
    let generated = out.join("assets.rs");
    fs::write(&generated, assets(&files)).map_err(|error| reading(&generated, &error))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("cargo sets {name} for build scripts, and has not"))
}

/// Builds the page in a copy of its sources; the directory it is in.
fn page(sources: &Path, copy: &Path) -> Result<PathBuf, Failure> {
    if let Some(directory) = env::var_os("BUILD_GATEMQ_PAGE_FROM") {
        let directory = PathBuf::from(directory);
        println!("cargo:rerun-if-changed={}", directory.display());
        if !directory.join("index.html").is_file() {
            return Err(Failure::Sources(format!(
                "BUILD_GATEMQ_PAGE_FROM is {}, which has no index.html: `npm ci && npm run build` in web/ builds web/dist",
                directory.display()
            )));
        }
        return Ok(directory);
    }
    // No network there, and nobody reads the page there.
    if env::var_os("DOCS_RS").is_some() {
        return Err(Failure::Skipped);
    }
    check_node()?;
    let failed = |error: io::Error| Failure::Tools(reading(copy, &error));
    for source in SOURCES {
        copy_changed(&sources.join(source), &copy.join(source)).map_err(failed)?;
    }
    install(copy)?;
    let built = copy.join("dist");
    let mut node = Command::new("node");
    node.arg("build.mjs").env("WEB_OUT", &built);
    match run(&mut node, copy) {
        Ok(()) => Ok(built),
        Err(failed) if failed.code == Some(SOURCES_AT_FAULT) => {
            Err(Failure::Sources(failed.to_string()))
        }
        Err(failed) => Err(Failure::Tools(failed.first_line())),
    }
}

fn check_node() -> Result<(), Failure> {
    let output = Command::new("node")
        .arg("--version")
        .output()
        .map_err(|error| Failure::Tools(format!("`node` cannot be started ({error})")))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next();
    match major.and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major >= OLDEST_NODE => Ok(()),
        Some(_) => Err(Failure::Tools(format!("Node.js {version} is too old"))),
        None => Err(Failure::Tools(format!(
            "`node --version` says \"{version}\""
        ))),
    }
}

/// Fetches the packages of the lock file, unless they are there from the last time: later builds need no network.
fn install(copy: &Path) -> Result<(), Failure> {
    let lock = copy.join("package-lock.json");
    let stamp = copy.join("node_modules/.installed-lock");
    let wanted = fs::read(&lock).map_err(|error| Failure::Sources(reading(&lock, &error)))?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let mut command = Command::new(npm);
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    // What npm has in its cache is good enough: the lock file says by hash what it must be.
    command.args(["--prefer-offline", "--no-progress"]);
    run(&mut command, copy).map_err(|failed| Failure::Tools(failed.first_line()))?;
    fs::write(&stamp, wanted).map_err(|error| Failure::Tools(reading(&stamp, &error)))
}

/// A command that did not do what it was asked to.
struct Failed {
    command: String,
    code: Option<i32>,
    said: String,
}

impl Failed {
    fn first_line(&self) -> String {
        let line = self.said.lines().find(|line| !line.trim().is_empty());
        format!("`{}` failed: {}", self.command, line.unwrap_or_default())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` failed:\n{}", self.command, self.said)
    }
}

fn run(command: &mut Command, directory: &Path) -> Result<(), Failed> {
    let name = format!("{command:?}").replace('"', "");
    let output = command
        .current_dir(directory)
        .output()
        .map_err(|error| Failed {
            command: name.clone(),
            code: None,
            said: error.to_string(),
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    Err(Failed {
        command: name,
        code: output.status.code(),
        said: String::from_utf8_lossy(&said).into_owned(),
    })
}

fn reading(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Copies what differs, and takes away what is no longer in `from`: an old file must not be built along.
fn copy_changed(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        let wanted = fs::read(from)?;
        if fs::read(to).is_ok_and(|there| there == wanted) {
            return Ok(());
        }
        return fs::write(to, wanted);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !from.join(entry.file_name()).exists() {
            if entry.path().is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_changed(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Has cargo run this again once the file, or one in the directory, changes.
fn watch(path: &Path) {
    println!("cargo:rerun-if-changed={}", path.display());
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.for_each(|entry| watch(&entry.path()));
}

/// The files of a built page, in an order that does not change.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// `(name, bytes)` of every file, as Rust.
fn assets(files: &[PathBuf]) -> String {
    let mut code = String::from("static FILES: &[(&str, &[u8])] = &[\n");
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let path = file.to_string_lossy();
        code += &format!("    ({name:?}, include_bytes!({path:?})),\n");
    }
    code + "];\n"
}
