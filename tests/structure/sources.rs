//! The sources: files, the crates they belong to, and the modules that they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::tokens::{Token, shipped, tokens};

/// A file as it is given: its path from the root of the repository, with slashes, and its text.
pub(crate) type Text = (String, String);

/// One file of shipped code.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root of the repository.
    pub(crate) path: String,
    /// The crate as paths name it, such as `lakehook_base`.
    pub(crate) krate: String,
    /// The module within its crate; empty for `lib.rs`.
    pub(crate) module: Vec<String>,
    /// Without what only tests see.
    pub(crate) tokens: Vec<Token>,
    /// Without the lines that only tests see.
    pub(crate) lines: usize,
}

impl Source {
    /// Whether it is the first file of a folder of modules or of a crate.
    pub(crate) fn is_front_door(&self) -> bool {
        self.path.ends_with("/mod.rs") || self.path.ends_with("/lib.rs")
    }
}

/// All shipped files, and the dependencies that crates of the workspace have on each other.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) files: Vec<Source>,
    /// Pairs of crates: a manifest, and a crate that it depends on.
    pub(crate) dependencies: BTreeSet<(String, String)>,
    by_module: BTreeMap<(String, Vec<String>), usize>,
}

impl Sources {
    /// Of the files of a repository: those of `src` are the crate at the root, those of `crates/<x>/src` its members.
    pub(crate) fn of(texts: &[Text]) -> Self {
        let mut texts = texts.to_vec();
        texts.sort();
        let manifests = texts
            .iter()
            .filter_map(|(path, text)| Some((path.strip_suffix("Cargo.toml")?, text)));
        let manifests: Vec<(&str, &String)> = manifests.collect();
        let names: BTreeMap<&str, String> = manifests
            .iter()
            .filter_map(|(folder, text)| Some((*folder, crate_name(text)?)))
            .collect();
        let mut dependencies = BTreeSet::new();
        for (folder, text) in &manifests {
            for name in names.values().filter(|name| depends_on(text, name)) {
                if let Some(own) = names.get(folder) {
                    dependencies.insert((own.clone(), name.clone()));
                }
            }
        }
        let mut files = Vec::new();
        let mut of_tests = Vec::new();
        for (path, text) in &texts {
            let Some((folder, below)) = folder_of(path) else {
                continue;
            };
            let module = module_of(below);
            let shipped = shipped(&tokens(text));
            let krate = match (names.get(folder), below) {
                // The program is a crate of its own beside the library.
                (Some(name), "main.rs") => format!("{name}::main"),
                (Some(name), _) => name.clone(),
                (None, _) => continue,
            };
            for name in shipped.test_modules {
                let mut module = module.clone();
                module.push(name);
                of_tests.push((krate.clone(), module));
            }
            files.push(Source {
                path: path.clone(),
                krate,
                module,
                tokens: shipped.tokens,
                lines: text.lines().count() - shipped.test_lines,
            });
        }
        // Whole files that only tests see: by their declaration, or by their name.
        files.retain(|file| {
            let is_below = |(krate, module): &(String, Vec<String>)| {
                file.krate == *krate && file.module.starts_with(module)
            };
            let of_tests_by_name = file
                .module
                .iter()
                .any(|name| name == "tests" || name.ends_with("_tests"));
            !of_tests_by_name && !of_tests.iter().any(is_below)
        });
        let key = |file: &Source| (file.krate.clone(), file.module.clone());
        let by_module = files.iter().enumerate().map(|(at, file)| (key(file), at));
        Self {
            by_module: by_module.collect(),
            dependencies,
            files,
        }
    }

    /// Of the repository itself.
    pub(crate) fn read(root: &Path) -> Self {
        let mut texts = Vec::new();
        let mut folders = vec![root.join("src"), root.join("crates")];
        let mut add = |path: &Path| {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            texts.push((name.to_owned(), std::fs::read_to_string(path).unwrap()));
        };
        add(&root.join("Cargo.toml"));
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "rs")
                    || path.ends_with("Cargo.toml")
                {
                    add(&path);
                }
            }
        }
        Self::of(&texts)
    }

    /// Whether paths may begin with that name.
    pub(crate) fn has_crate(&self, name: &str) -> bool {
        self.by_module.contains_key(&(name.to_owned(), Vec::new()))
    }

    /// The file that is that module.
    pub(crate) fn file(&self, krate: &str, module: &[String]) -> Option<usize> {
        let key = (krate.to_owned(), module.to_vec());
        self.by_module.get(&key).copied()
    }
}

fn crate_name(manifest: &str) -> Option<String> {
    let package = manifest.split("[package]").nth(1)?;
    let line = package.lines().find(|line| line.starts_with("name"))?;
    Some(line.split('"').nth(1)?.replace('-', "_"))
}

/// Whether a manifest has a crate among its dependencies, not those of tests and of build scripts.
fn depends_on(manifest: &str, name: &str) -> bool {
    let mut section = "";
    manifest.lines().any(|line| {
        if line.starts_with('[') {
            section = line.trim();
        }
        let key = line.split(['=', '.', ' ']).next().unwrap_or_default();
        section == "[dependencies]" && key.replace('-', "_") == name
    })
}

/// The folder of the crate that a file is of, with a slash behind it, and the path below its `src`.
fn folder_of(path: &str) -> Option<(&str, &str)> {
    if let Some(below) = path.strip_prefix("src/") {
        return Some(("", below));
    }
    let name = path.strip_prefix("crates/")?.split('/').next()?;
    let (folder, below) = path.split_at_checked("crates/".len() + name.len() + 1)?;
    Some((folder, below.strip_prefix("src/")?))
}

fn module_of(below: &str) -> Vec<String> {
    let below = below.strip_suffix(".rs").unwrap_or(below);
    let mut module: Vec<String> = below.split('/').map(str::to_owned).collect();
    let is_front = |name: &String| matches!(&**name, "mod" | "lib" | "main");
    if module.last().is_some_and(is_front) {
        module.pop();
    }
    module
}
