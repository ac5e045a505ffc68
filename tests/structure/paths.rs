//! Which files a file uses: `use` items and paths within code, followed through what front doors re-export.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::Sources;
use super::tokens::Token;

/// A use: the file that has it, its line, and the file that is used. Both are indices of [`Sources::files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Use {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) line: usize,
}

/// Re-exports are followed so far; more would be a circle of them.
const MAX_STEPS: usize = 8;

/// All uses of one file of the sources by another.
pub(crate) fn uses(sources: &Sources) -> BTreeSet<Use> {
    let paths: Vec<Vec<Found>> = (0..sources.files.len())
        .map(|file| paths(sources, file))
        .collect();
    let exports: Vec<Exports> = paths.iter().map(|found| Exports::of(found)).collect();
    let mut uses = BTreeSet::new();
    for (from, found) in paths.iter().enumerate() {
        let is_front_door = sources.files[from].is_front_door();
        // What a front door hands on it does not use itself.
        for found in found.iter().filter(|f| !(f.is_export && is_front_door)) {
            if let Some(to) = target(sources, &exports, &found.path)
                && to != from
            {
                let line = found.line;
                uses.insert(Use { from, to, line });
            }
        }
    }
    uses
}

/// An absolute path: the crate, and what follows.
type Absolute = (String, Vec<String>);

#[derive(Debug)]
struct Found {
    path: Absolute,
    /// What it is called where it is imported; `*` for everything. `None` for a path within code.
    name: Option<String>,
    line: usize,
    is_export: bool,
}

/// What a file re-exports: paths by name, and whole modules.
struct Exports {
    names: BTreeMap<String, Absolute>,
    globs: Vec<Absolute>,
}

impl Exports {
    fn of(found: &[Found]) -> Self {
        let mut exports = Self {
            names: BTreeMap::new(),
            globs: Vec::new(),
        };
        for found in found.iter().filter(|found| found.is_export) {
            match found.name.as_deref() {
                Some("*") => exports.globs.push(found.path.clone()),
                Some(name) => _ = exports.names.insert(name.to_owned(), found.path.clone()),
                None => {}
            }
        }
        exports
    }
}

/// The file that a path leads to.
fn target(sources: &Sources, exports: &[Exports], path: &Absolute) -> Option<usize> {
    let (mut krate, mut segments) = path.clone();
    for _ in 0..MAX_STEPS {
        let known = (0..=segments.len())
            .rev()
            .find_map(|end| Some((end, sources.file(&krate, &segments[..end])?)));
        let (end, file) = known?;
        let Some(next) = segments.get(end) else {
            return Some(file);
        };
        let Some((to, rest)) = exports[file].names.get(next) else {
            // What a glob brings is not looked up by name: where there is one, it is what is meant.
            return match &*exports[file].globs {
                [(krate, module)] => sources.file(krate, module).or(Some(file)),
                _ => Some(file),
            };
        };
        let tail = segments[end + 1..].to_vec();
        krate.clone_from(to);
        segments = [rest.clone(), tail].concat();
    }
    None
}

struct Reading<'s> {
    sources: &'s Sources,
    krate: &'s str,
    tokens: &'s [Token],
    /// What names in this file lead to.
    imports: BTreeMap<String, Absolute>,
    found: Vec<Found>,
}

/// The paths in a file that lead to modules of the workspace.
fn paths(sources: &Sources, file: usize) -> Vec<Found> {
    let file = &sources.files[file];
    let mut reading = Reading {
        sources,
        krate: &file.krate,
        tokens: &file.tokens,
        imports: BTreeMap::new(),
        found: Vec::new(),
    };
    reading.read(&file.module);
    // Once more, now that it is known what the paths within code begin with.
    for found in std::mem::take(&mut reading.found) {
        if let Some(name) = found.name {
            reading.imports.insert(name, found.path);
        }
    }
    reading.read(&file.module);
    reading.found
}

impl Reading<'_> {
    fn read(&mut self, module: &[String]) {
        // The module of the file and those within it, each with the depth of braces at which it ends.
        let mut modules = vec![(module.to_vec(), 0)];
        let mut depth = 0_usize;
        let mut at = 0;
        while let Some(token) = self.tokens.get(at) {
            let here = modules[modules.len() - 1].0.clone();
            match &*token.text {
                "mod" if self.is(at + 2, "{") => {
                    let mut inner = here;
                    inner.push(self.tokens[at + 1].text.clone());
                    modules.push((inner, depth));
                    depth += 1;
                    at += 3;
                    continue;
                }
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    if modules.len() > 1 && modules[modules.len() - 1].1 == depth {
                        modules.pop();
                    }
                }
                "use" => {
                    let is_export = at > 0 && (self.is(at - 1, "pub") || self.is(at - 1, ")"));
                    at = self.tree(at + 1, &[], &here, is_export);
                    continue;
                }
                _ if token.is_word() && self.is(at + 1, "::") && !self.is_behind_path(at) => {
                    at = self.inline(at, &here);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn is(&self, at: usize, text: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(text))
    }

    fn is_behind_path(&self, at: usize) -> bool {
        at > 0 && self.is(at - 1, "::")
    }

    /// A path within code; returns the index behind it.
    fn inline(&mut self, start: usize, here: &[String]) -> usize {
        let mut segments = vec![self.tokens[start].text.clone()];
        let mut at = start + 1;
        while self.is(at, "::") && self.tokens.get(at + 1).is_some_and(Token::is_word) {
            segments.push(self.tokens[at + 1].text.clone());
            at += 2;
        }
        let line = self.tokens[start].line;
        self.note(&segments, None, here, line, false);
        at
    }

    /// One tree of a `use` item below `prefix`; returns the index behind it.
    fn tree(&mut self, start: usize, prefix: &[String], here: &[String], is_export: bool) -> usize {
        let mut segments = prefix.to_vec();
        let mut at = start;
        let line = self.tokens.get(at).map_or(0, |token| token.line);
        while let Some(token) = self.tokens.get(at) {
            match &*token.text {
                "::" => at += 1,
                "{" => {
                    at += 1;
                    while !self.is(at, "}") && at < self.tokens.len() {
                        at = self.tree(at, &segments, here, is_export);
                        at += usize::from(self.is(at, ","));
                    }
                    return at + 1;
                }
                "*" => {
                    self.note(&segments, Some("*".to_owned()), here, line, is_export);
                    return at + 1;
                }
                "as" => {
                    let name = self.tokens[at + 1].text.clone();
                    self.note(&segments, Some(name), here, line, is_export);
                    return at + 2;
                }
                "self" if !segments.is_empty() => at += 1,
                _ if token.is_word() => {
                    segments.push(token.text.clone());
                    at += 1;
                }
                _ => break,
            }
        }
        let name = segments.last().cloned();
        self.note(&segments, name, here, line, is_export);
        at
    }

    /// Notes a path if it leads to a module of the workspace.
    fn note(
        &mut self,
        segments: &[String],
        name: Option<String>,
        here: &[String],
        line: usize,
        is_export: bool,
    ) {
        if let Some(path) = self.absolute(segments, here) {
            self.found.push(Found {
                path,
                name,
                line,
                is_export,
            });
        }
    }

    fn absolute(&self, segments: &[String], here: &[String]) -> Option<Absolute> {
        let (first, rest) = segments.split_first()?;
        let own = |module: &[String], rest: &[String]| {
            Some((self.krate.to_owned(), [module, rest].concat()))
        };
        match &**first {
            "crate" => own(&[], rest),
            "self" => own(here, rest),
            "super" => {
                let above = &here[..here.len().checked_sub(1)?];
                match rest.first() {
                    Some(next) if next == "super" => self.absolute(rest, above),
                    _ => own(above, rest),
                }
            }
            name if self.imports.contains_key(name) => {
                let (krate, module) = &self.imports[name];
                Some((krate.clone(), [module, rest].concat()))
            }
            name if self.sources.has_crate(name) => Some((name.to_owned(), rest.to_vec())),
            name => {
                let child = [here, &[name.to_owned()]].concat();
                self.sources.file(self.krate, &child)?;
                own(here, segments)
            }
        }
    }
}
