//! How many instructions the hot parts take, counted by callgrind: on a busy machine a slowdown of a few percent shows
//! nowhere else. The counts are kept in `counts.txt`; one that is more than 5 % above fails, one that is as much below is
//! told. `UPDATE_INSTRUCTIONS=1` writes the file anew. With `--test` each operation runs once, without valgrind.
//!
//! Each operation has a process of its own, so that none depends on what ran before. Only what [`counted`] calls is
//! counted: not how it is made ready. Seeds of hash tables differ each time; that makes less than one part in a hundred.
//! valgrind says to programs that they run on a processor of its own, which has AVX2 where there is any: what libraries choose
//! by the processor, ciphers above all, is the same on all machines that have it.

#[path = "../parts/mod.rs"]
mod parts;

mod counts;
mod operations;

use std::{
    env,
    error::Error,
    fs,
    hint::black_box,
    io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use counts::{Counts, Verdict};
use operations::{Make, OPERATIONS, Operation};

/// Calls that are counted, and those before them, which make room and fill caches.
const TIMES: u32 = 200;
const BEFORE: u32 = 20;

/// Others have other instructions.
const ARCHITECTURE: &str = "x86_64";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, name] = &arguments[..]
        && flag == "--operation"
    {
        carry_out(find(name)?, TIMES);
        return Ok(ExitCode::SUCCESS);
    }
    if parts::is_test() {
        for (_, make) in OPERATIONS {
            carry_out(*make, 1);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/counts.txt");
    if env::consts::ARCH != ARCHITECTURE {
        println!("the counts that are kept are those of {ARCHITECTURE}: nothing to compare here");
        return Ok(ExitCode::SUCCESS);
    }
    let counted = count_all()?;
    if env::var_os("UPDATE_INSTRUCTIONS").is_some_and(|value| value == "1") {
        fs::write(&kept, counted.to_string())?;
        println!("{} is written anew", kept.display());
        return Ok(ExitCode::SUCCESS);
    }
    let text = fs::read_to_string(&kept).map_err(|error| format!("{}: {error}", kept.display()))?;
    let kept = Counts::parse(&text).map_err(|error| format!("{}: {error}", kept.display()))?;
    Ok(judge(&kept, &counted))
}

fn find(name: &str) -> Outcome<Make> {
    let found = OPERATIONS.iter().find(|(known, _)| *known == name);
    Ok(found.ok_or_else(|| format!("no operation {name:?}"))?.1)
}

fn carry_out(make: Make, times: u32) {
    let mut operation = make();
    for _ in 0..BEFORE {
        operation.prepare();
        operation.run();
    }
    for _ in 0..times {
        operation.prepare();
        counted(&mut *operation);
    }
}

/// What callgrind looks at: while this function runs, it counts. `black_box` keeps the call from becoming a jump, after which
/// callgrind would not see where this function ends.
#[inline(never)]
fn counted(operation: &mut dyn Operation) {
    operation.run();
    black_box(());
}

fn count_all() -> Outcome<Counts> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("instructions");
    fs::create_dir_all(&directory)?;
    let mut counts = Counts {
        tools: format!("{}, {}", said_by("rustc")?, said_by("valgrind")?),
        ..Counts::default()
    };
    for (name, _) in OPERATIONS {
        let count = count(name, &directory)?;
        counts.by_name.insert((*name).to_owned(), count);
    }
    Ok(counts)
}

/// Carries an operation out under callgrind; how many instructions one call took.
fn count(name: &str, directory: &Path) -> Outcome<u64> {
    let profile = profile(name, directory);
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--quiet",
            "--toggle-collect=*instructions*counted*",
        ])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(env::current_exe()?)
        .args(["--operation", name])
        .output()
        .map_err(missing("valgrind"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name} under valgrind: {}\n{said}", output.status).into());
    }
    let profile = fs::read_to_string(profile)?;
    let total = profile
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))
        .and_then(|total| total.parse::<u64>().ok())
        .filter(|total| *total > 0)
        .ok_or_else(|| format!("callgrind has counted nothing of {name}"))?;
    Ok(total / u64::from(TIMES))
}

fn profile(name: &str, directory: &Path) -> PathBuf {
    let letters = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    let file: String = name.chars().map(letters).collect();
    directory.join(file + ".out")
}

fn said_by(program: &str) -> Outcome<String> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map_err(missing(program))?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn missing(program: &str) -> impl FnOnce(io::Error) -> String {
    move |error| format!("{program} does not start: {error}; `tests/run install` installs it")
}

fn judge(kept: &Counts, counted: &Counts) -> ExitCode {
    let same_tools = kept.tools == counted.tools;
    let mut is_failure = false;
    for comparison in kept.compare(counted) {
        let verdict = comparison.verdict();
        is_failure |= verdict.is_failure() && (same_tools || verdict != Verdict::Slower);
        let word = match verdict {
            Verdict::Same => "",
            Verdict::Faster => "  (faster: worth to be kept)",
            Verdict::Slower => "  SLOWER",
            Verdict::New => "  NEW",
            Verdict::Gone => "  GONE",
        };
        println!("{comparison}{word}");
    }
    if !same_tools {
        println!(
            "kept is what was counted by {}, and this is {}: another compiler makes other code, and more of it is no failure",
            kept.tools, counted.tools
        );
    }
    if !is_failure {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "instructions differ from benches/instructions/counts.txt by more than 5 %; `callgrind_annotate` of a file in \
         {}/instructions says where they are spent. Where they are meant to: `UPDATE_INSTRUCTIONS=1 cargo bench --bench \
         instructions` writes them down.",
        env!("CARGO_TARGET_TMPDIR")
    );
    ExitCode::FAILURE
}
