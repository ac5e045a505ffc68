//! Patterns of names: `*`, `?` and `[…]` within one part of a path, and `**` for any number of parts. Pure.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// A path whose last parts are patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathPattern {
    /// The directory below which files are looked for.
    pub(crate) root: PathBuf,
    /// The patterns of the parts below it.
    parts: Vec<String>,
}

/// Why a path is no pattern of files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    #[error("names no file; end it with a name or a pattern such as *.csv")]
    NoName,
    #[error("has .. behind a pattern; write the directory out")]
    Parent,
    #[error("is not UTF-8")]
    NotUtf8,
}

impl PathPattern {
    /// Reads a path. Everything before the first part with a pattern, or else before the name, is the directory.
    pub(crate) fn new(path: &Path) -> Result<Self, PatternError> {
        let mut root = PathBuf::new();
        let mut parts = Vec::new();
        for component in path.components() {
            let text = |text: &OsStr| text.to_str().map(str::to_owned);
            match component {
                Component::Normal(part) => {
                    let part = text(part).ok_or(PatternError::NotUtf8)?;
                    if parts.is_empty() && !is_pattern(&part) {
                        root.push(part);
                    } else {
                        parts.push(part);
                    }
                }
                Component::ParentDir if !parts.is_empty() => return Err(PatternError::Parent),
                other => root.push(other),
            }
        }
        if parts.is_empty() {
            let name = root.file_name().and_then(OsStr::to_str);
            parts.push(name.ok_or(PatternError::NoName)?.to_owned());
            root.pop();
        }
        if root.as_os_str().is_empty() {
            root.push(".");
        }
        Ok(Self { root, parts })
    }

    /// Whether a file fits whose path below the root has these parts.
    pub(crate) fn fits(&self, parts: &[&str]) -> bool {
        fits_parts(&self.parts, parts)
    }

    /// Whether it is the name of one file.
    pub(crate) fn is_name(&self) -> bool {
        !self.parts.iter().any(|part| is_pattern(part))
    }

    /// Whether files below a directory can fit whose path below the root has these parts.
    pub(crate) fn enters(&self, parts: &[&str]) -> bool {
        let mut patterns = self.parts.iter();
        for part in parts {
            match patterns.next() {
                Some(pattern) if pattern == "**" => return true,
                Some(pattern) if fits(pattern, part) => {}
                _ => return false,
            }
        }
        patterns.next().is_some()
    }
}

fn is_pattern(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

fn fits_parts(patterns: &[String], parts: &[&str]) -> bool {
    match (patterns.split_first(), parts.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            fits_parts(rest, parts)
                || parts
                    .split_first()
                    .is_some_and(|(_, below)| fits_parts(patterns, below))
        }
        (Some((first, rest)), Some((part, below))) => fits(first, part) && fits_parts(rest, below),
        _ => false,
    }
}

/// Whether a name fits a pattern without slashes.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // Where a star stood last, and how far the name was read then: only there can another try begin.
    let (mut at, mut read, mut star) = (0, 0, None);
    loop {
        let next = pattern.get(at);
        if next == Some(&'*') {
            star = Some((at + 1, read));
            at += 1;
            continue;
        }
        if read == name.len() {
            if next.is_none() {
                return true;
            }
        } else if let Some(length) = fits_one(&pattern[at.min(pattern.len())..], name[read]) {
            (at, read) = (at + length, read + 1);
            continue;
        }
        match star {
            Some((behind, from)) if from < name.len() => {
                star = Some((behind, from + 1));
                (at, read) = (behind, from + 1);
            }
            _ => return false,
        }
    }
}

/// How many characters of the pattern a character of the name takes; `None` if it does not fit.
fn fits_one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => {
            let Some(end) = pattern.iter().skip(2).position(|c| *c == ']') else {
                return (c == '[').then_some(1);
            };
            let end = end + 2;
            let (set, is_not) = match pattern[1] {
                '!' | '^' if end > 2 => (&pattern[2..end], true),
                _ => (&pattern[1..end], false),
            };
            (in_set(set, c) != is_not).then_some(end + 1)
        }
        own => (*own == c).then_some(1),
    }
}

fn in_set(set: &[char], c: char) -> bool {
    let mut at = 0;
    while let Some(first) = set.get(at) {
        match set.get(at + 1..at + 3) {
            Some(['-', last]) => {
                if (*first..=*last).contains(&c) {
                    return true;
                }
                at += 3;
            }
            _ => {
                if *first == c {
                    return true;
                }
                at += 1;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn names_fit_their_patterns() {
        for (pattern, name, expected) in [
            ("*.csv", "a.csv", true),
            ("*.csv", ".csv", true),
            ("*.csv", "a.csv.part", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbY", false),
            ("??.[ct]sv", "ab.tsv", true),
            ("??.[ct]sv", "abc.tsv", false),
            ("[0-9]*", "7x", true),
            ("[!0-9]*", "7x", false),
            ("[", "[", true),
            (".*", ".hidden", true),
            (".*", "a.b", false),
            ("", "", true),
            ("*", "a\nb", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_path_is_a_directory_and_patterns_below_it() {
        let pattern = PathPattern::new(Path::new("/in/claims/*.csv")).unwrap();
        assert_eq!(pattern.root, Path::new("/in/claims"));
        assert!(pattern.fits(&["a.csv"]) && !pattern.fits(&["x", "a.csv"]));
        assert!(!pattern.enters(&["x"]));
        let deep = PathPattern::new(Path::new("/in/**/x-*/*.csv")).unwrap();
        assert_eq!(deep.root, Path::new("/in"));
        assert!(deep.fits(&["a", "b", "x-1", "c.csv"]) && deep.fits(&["x-1", "c.csv"]));
        assert!(!deep.fits(&["a", "c.csv"]));
        assert!(deep.enters(&["a", "b"]));
        let two = PathPattern::new(Path::new("/in/y=*/*.csv")).unwrap();
        assert!(two.enters(&["y=1"]) && !two.enters(&["z"]) && !two.enters(&["y=1", "z"]));
        let one = PathPattern::new(Path::new("/in/a.csv")).unwrap();
        assert!(one.fits(&["a.csv"]) && one.root == Path::new("/in"));
        let parent = PathPattern::new(Path::new("/in/*/../a"));
        assert_eq!(parent, Err(PatternError::Parent));
        assert_eq!(PathPattern::new(Path::new("/")), Err(PatternError::NoName));
    }
}
