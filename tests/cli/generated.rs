//! Completions and manual pages, as shells and groff read them.

use std::process::Command;

use crate::support::{Folder, finish};

#[test]
fn shells_understand_the_completions() {
    let folder = Folder::new();
    for (shell, word) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef gatemq"),
        ("fish", "complete -c gatemq"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let made = folder.run(&["completion", shell]);
        assert_eq!(made.code, Some(0), "{made:?}");
        assert!(made.out.contains(word), "{shell}: {}", made.out);
        assert!(made.out.contains("retained-only"), "{shell}");
        folder.write(shell, &made.out);
    }
    let read = finish(
        Command::new("bash")
            .arg("-n")
            .arg(folder.path().join("bash")),
    );
    assert_eq!((read.code, read.err.as_str()), (Some(0), ""));
    // Somebody has typed `gatemq s` and presses the key.
    let typed = ". ./bash; COMP_WORDS=(gatemq s); COMP_CWORD=1; _gatemq gatemq s gatemq; echo ${COMPREPLY[*]}";
    let completed = finish(
        Command::new("bash")
            .args(["-c", typed])
            .current_dir(folder.path()),
    );
    assert_eq!(completed.out, "status stop snippet sub\n", "{completed:?}");
}

#[test]
fn manual_pages_are_rendered_without_a_warning() {
    let folder = Folder::new();
    let made = folder.run(&["man", "pages"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    for name in [
        "gatemq",
        "gatemq-pub",
        "gatemq-sub",
        "gatemq-rr",
        "gatemq-cert-show",
        "gatemq-bench-fanin",
    ] {
        let path = format!("pages/{name}.1");
        assert!(made.out.contains(&path), "no {path} in {}", made.out);
        let mut groff = Command::new("groff");
        groff
            .args(["-man", "-ww", "-Tutf8", "-P-cbou", &path])
            .current_dir(folder.path());
        let rendered = finish(&mut groff);
        assert_eq!(
            (rendered.code, rendered.err.as_str()),
            (Some(0), ""),
            "{name}"
        );
        assert!(
            rendered.out.contains("SYNOPSIS"),
            "{name}: {}",
            rendered.out
        );
    }
    let printed = folder.run(&["man"]);
    assert_eq!(printed.out, folder.read("pages/gatemq.1"));
    folder.write("file", "");
    let refused = folder.run(&["man", "file"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.err.contains("a directory that can be written to"),
        "{refused:?}"
    );
}
