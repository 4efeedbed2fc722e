//! The documents: their links lead somewhere, and README.zh-CN.md says what README.md says. Whether a translation is good
//! is for its readers to say; what no language translates (code, figures, links) must be the same in each heading,
//! paragraph, row of a table and line of code, so that neither changes without the other.

use std::path::Path;

use crate::{file, read};

const DOCUMENTS: [&str; 7] = [
    "README.md",
    "README.zh-CN.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "INTEROP.md",
    "certs/README.md",
    "contrib/README.md",
];

#[test]
fn links_lead_somewhere() {
    for document in DOCUMENTS {
        let folder = Path::new(document).parent().expect("a file is in a folder");
        for link in links(&read(document)) {
            if !link.starts_with("https://") {
                let path = file(&folder.join(&link).to_string_lossy());
                assert!(path.exists(), "{document} links to {link}");
            }
        }
    }
}

#[test]
fn the_chinese_readme_says_what_the_english_one_says() {
    let (english, chinese) = (read("README.md"), read("README.zh-CN.md"));
    let (english, chinese) = (blocks(&english), blocks(&chinese));
    for (one, other) in english.iter().zip(&chinese) {
        assert_eq!(
            (one.kind, constants(&one.text)),
            (other.kind, constants(&other.text)),
            "README.md:{} and README.zh-CN.md:{} differ:\n{}\n{}",
            one.line,
            other.line,
            one.text,
            other.text
        );
    }
    assert_eq!(english.len(), chinese.len(), "one says more at its end");
    assert!(english.len() > 200, "{} blocks", english.len());
}

#[test]
fn a_difference_is_found() {
    let text = "## A\n\nIt is `on` for 5 s:\nsee [it](it.md).\n\n```\nrun -x  # now\n```\n| `key` | 1s to 2h |";
    let same = "## 甲\n\n参见[它](it.md)：5 秒内为 `on`。\n\n```\nrun -x  # 现在\n```\n| `key` | 1s 到 2h |";
    let seen = |text: &str| -> Vec<_> {
        let blocks = blocks(text).into_iter();
        let compared = blocks.map(|block| (block.kind, constants(&block.text)));
        compared.collect()
    };
    assert_eq!(seen(text), seen(same));
    for (from, to) in [
        ("5", "6"),
        ("`on`", "`off`"),
        ("it.md", "at.md"),
        ("-x", "-y"),
        ("2h", "3h"),
        ("## ", "### "),
    ] {
        assert_ne!(seen(text), seen(&same.replace(from, to)), "{from} {to}");
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// And its level.
    Heading(usize),
    Paragraph,
    Row,
    Code,
}

struct Block {
    line: usize,
    kind: Kind,
    text: String,
}

/// What Markdown is made of, as far as the two have it.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut in_code, mut in_paragraph) = (false, false);
    for (number, line) in text.lines().enumerate() {
        let is_fence = line.starts_with("```");
        in_code ^= is_fence;
        let kind = if is_fence || in_code {
            Kind::Code
        } else if line.starts_with('#') {
            Kind::Heading(line.bytes().take_while(|byte| *byte == b'#').count())
        } else if line.starts_with('|') {
            Kind::Row
        } else {
            Kind::Paragraph
        };
        match blocks.last_mut() {
            Some(paragraph) if kind == Kind::Paragraph && in_paragraph && !line.is_empty() => {
                paragraph.text = format!("{} {line}", paragraph.text);
            }
            _ if line.is_empty() => {}
            Some(_) | None => blocks.push(Block {
                line: number + 1,
                kind,
                // The fence itself is to be compared, not read as quotes.
                text: match kind {
                    Kind::Code => format!("`{}`", without_comment(line).replace('`', "'")),
                    Kind::Heading(_) | Kind::Paragraph | Kind::Row => line.to_owned(),
                },
            }),
        }
        in_paragraph = kind == Kind::Paragraph && !line.is_empty();
    }
    blocks
}

/// Comments are translated.
fn without_comment(line: &str) -> &str {
    let end = line.find(" # ").unwrap_or(line.len());
    line[..end].trim_end()
}

/// What no language translates: code, links, and words with a figure in them. Sorted, and once each: languages order and
/// repeat them in ways of their own.
fn constants(text: &str) -> Vec<String> {
    let mut constants = Vec::new();
    for (part, is_code) in text.split('`').zip([false, true].into_iter().cycle()) {
        if is_code {
            constants.push(format!("`{part}`"));
            continue;
        }
        let words = part.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
        let with_figure = words.filter(|word| word.contains(|c: char| c.is_ascii_digit()));
        constants.extend(with_figure.map(|word| word.trim_matches('.').to_owned()));
    }
    // That of the other language is in the first line of each.
    let mut links = links(text);
    links.retain(|link| !link.starts_with("README"));
    constants.extend(links);
    constants.sort();
    constants.dedup();
    constants
}

/// Where the links of a text lead.
fn links(text: &str) -> Vec<String> {
    let after = text.split("](").skip(1);
    after
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}
