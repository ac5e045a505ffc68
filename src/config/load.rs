//! Loading: finds the file, merges it with the environment, checks everything, and only then returns a
//! configuration.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::auth_checks;
use super::aws_endpoint;
use super::call_checks;
use super::checks;
use super::effective::{self, EffectiveSetting};
use super::errors::{ConfigErrors, ConfigPlace, ConfigProblem};
use super::file_checks;
use super::files::Inbox;
use super::findings::Findings;
use super::hook_checks;
use super::key::Key;
use super::lake_options;
use super::lake_url::LakeUrl;
use super::paths::absolute;
use super::poll_checks;
use super::sections::Config;
use super::shape::{Fault, Shape};
use super::sources::{Argument, CONFIG_VARIABLE, Sources, TomlFile, Variables};
use super::strays;

/// The file that is read if none is named.
const DEFAULT_FILE: &str = "lakehook.toml";
/// A key has a section and a name. Whatever is nested deeper belongs to the value of the key.
const KEY_PARTS: usize = 2;

/// A configuration without errors.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration. It has been checked, its paths are absolute, and it includes the secrets read from
    /// files.
    pub config: Config,
    /// The absolute path of the file that it came from; `None` if there was no file.
    pub source: Option<PathBuf>,
    /// Settings that are allowed, but probably a mistake.
    pub warnings: Vec<String>,
    /// The settings in force, each with where it comes from.
    pub effective: Vec<EffectiveSetting>,
}

impl Config {
    /// Loads the file `explicit`, otherwise the one that `LAKEHOOK_CONFIG` names, otherwise `./lakehook.toml`
    /// if it exists, otherwise the defaults. Variables of the environment override all of these, and arguments
    /// of the command line override the environment.
    pub fn load(explicit: Option<&Path>, arguments: &[Argument]) -> Result<Loaded, ConfigErrors> {
        let working_dir = std::env::current_dir().map_err(|error| {
            let file = PathBuf::from(".");
            refused(vec![problem_of_file(&file, &error)])
        })?;
        load(explicit, std::env::vars_os(), arguments, &working_dir)
    }

    /// Loads a file as a process in its folder does that has this environment.
    pub fn load_as(
        file: &Path,
        environment: &[(OsString, OsString)],
    ) -> Result<Loaded, ConfigErrors> {
        let folder = file.parent().unwrap_or(file);
        load(Some(file), environment.iter().cloned(), &[], folder)
    }
}

/// Does the same in a given environment and working directory.
pub(super) fn load(
    explicit: Option<&Path>,
    environment: impl Iterator<Item = (OsString, OsString)>,
    arguments: &[Argument],
    working_dir: &Path,
) -> Result<Loaded, ConfigErrors> {
    let environment: Vec<(OsString, OsString)> = environment.collect();
    let mut problems = Vec::new();
    let named = explicit
        .map(Path::to_owned)
        .or_else(|| named_by(&environment));
    let file = match read_file(named.as_deref(), working_dir) {
        Ok(file) => file,
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    // If the file could not be read, rules about several settings cannot be checked.
    let is_whole = problems.is_empty();
    let name = file.as_ref().map(|file| file.name().to_owned());
    let aws_endpoint = aws_endpoint::named_by(&environment);
    let mut variables = Variables::pick(environment.into_iter(), &mut problems);
    variables.overrule(arguments);
    let sources = Sources { file, variables };

    let source = name.map(|name| working_dir.join(name));
    let base = source
        .as_deref()
        .and_then(Path::parent)
        .unwrap_or(working_dir);
    let shape = shape()?;
    let strays = strays::judge(sources.variables.strays(), &shape, &mut problems);
    let (settings, broken) = sound_settings(&sources, &shape, &mut problems);
    let effective = effective::settings(&sources, &shape, &settings);
    let mut findings = Findings::new(&sources, broken);
    let config = match typed(settings, base) {
        Ok(mut config) if is_whole => {
            problems.extend(aws_endpoint::take(&mut config.lake, aws_endpoint).err());
            Some(finish(config, &mut findings))
        }
        Ok(_) => None,
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    let (rule_problems, mut warnings) = findings.into_parts();
    warnings.extend(strays);
    problems.extend(rule_problems);
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded {
            config,
            source,
            warnings,
            effective,
        }),
        _ => Err(refused(problems)),
    }
}

fn refused(problems: Vec<ConfigProblem>) -> ConfigErrors {
    ConfigErrors { problems }
}

/// The file that the environment names. An empty variable names none.
fn named_by(environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    let mut variables = environment.iter();
    let (_, value) = variables.find(|(name, _)| name == CONFIG_VARIABLE)?;
    (!value.is_empty()).then(|| PathBuf::from(value))
}

fn read_file(named: Option<&Path>, working_dir: &Path) -> Result<Option<TomlFile>, ConfigProblem> {
    let name = named.unwrap_or(Path::new(DEFAULT_FILE));
    match std::fs::read_to_string(working_dir.join(name)) {
        Ok(text) => TomlFile::parse(name, text).map(Some),
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(problem_of_file(name, &error)),
    }
}

fn problem_of_file(file: &Path, error: &io::Error) -> ConfigProblem {
    ConfigProblem {
        place: ConfigPlace::File {
            file: file.to_owned(),
        },
        rule: if error.kind() == io::ErrorKind::InvalidData {
            "cannot be read: it is not in UTF-8; save it in UTF-8".to_owned()
        } else {
            format!("cannot be read: {error}")
        },
    }
}

fn shape() -> Result<Shape, ConfigErrors> {
    Shape::new().map_err(|detail| {
        refused(vec![ConfigProblem {
            place: ConfigPlace::Default("the schema of the configuration".to_owned()),
            rule: detail,
        }])
    })
}

/// The settings of the right shape, and the keys of the others, which are left out.
fn sound_settings(
    sources: &Sources,
    shape: &Shape,
    problems: &mut Vec<ConfigProblem>,
) -> (Value, Vec<Key>) {
    let mut settings = sources.merged(shape);
    let mut broken = Vec::new();
    for fault in shape.faults(&settings) {
        problems.extend(problems_of(&fault, sources));
        let mut key = fault.key;
        key.truncate(KEY_PARTS);
        remove(&mut settings, &key);
        broken.push(key);
    }
    (settings, broken)
}

/// An unknown key is reported wherever it is set, a wrong value only where it takes effect.
fn problems_of(fault: &Fault, sources: &Sources) -> Vec<ConfigProblem> {
    let places = if fault.is_unknown {
        sources.places_of(&fault.key)
    } else {
        vec![sources.place_of(&fault.key)]
    };
    let problem = |place| ConfigProblem {
        place,
        rule: fault.rule.clone(),
    };
    places.into_iter().map(problem).collect()
}

fn remove(settings: &mut Value, key: &[String]) {
    let Some((last, section)) = key.split_last() else {
        return;
    };
    let mut steps = section.iter();
    let section = steps.try_fold(settings, |node, part| node.get_mut(part));
    if let Some(section) = section.and_then(Value::as_object_mut) {
        section.remove(last);
    }
}

/// Deserialises settings that the schema has accepted, so that this cannot fail. The error is left out, because it
/// might hold a secret.
fn deserialised(settings: Value) -> Result<Config, ConfigProblem> {
    serde_json::from_value(settings).map_err(|_| ConfigProblem {
        place: ConfigPlace::Default("the configuration".to_owned()),
        rule: "it has the right shape and still cannot be read; please report this".to_owned(),
    })
}

/// The configuration of these settings, with absolute paths.
fn typed(settings: Value, base: &Path) -> Result<Config, ConfigProblem> {
    let mut config = deserialised(settings)?;
    let make_absolute = |path: &mut PathBuf| match absolute(base, path) {
        Ok(plain) => {
            *path = plain;
            Ok(())
        }
        Err(error) => Err(problem_of_file(path, &error)),
    };
    make_absolute(&mut config.wal.dir)?;
    if let LakeUrl::Directory(path) = &mut config.lake.url {
        make_absolute(path)?;
    }
    make_absolute(&mut config.polls.dir)?;
    for call in config.call.values_mut() {
        make_absolute(&mut call.rows)?;
    }
    let optional = [
        &mut config.events.schemas,
        &mut config.events.signing_secrets_file,
        &mut config.server.tokens_file,
        &mut config.server.console_token_file,
        &mut config.cluster.secret_file,
        &mut config.server.tls_cert_file,
        &mut config.server.tls_key_file,
    ];
    for path in config.files.values_mut().filter_map(Inbox::local_path) {
        make_absolute(path)?;
    }
    let of_polls = config.poll.values_mut().map(|poll| &mut poll.columns);
    let of_files = config.files.values_mut().map(|files| &mut files.columns);
    let of_columns = of_polls
        .chain(of_files)
        .flat_map(|columns| columns.values_mut());
    for path in of_columns.filter_map(|column| column.key_file.as_mut()) {
        make_absolute(path)?;
    }
    let of_hooks = config.hook.values_mut().flat_map(|hook| {
        let of_auth = hook.auth.iter_mut();
        let of_auth = of_auth.flat_map(|auth| [&mut auth.secrets_file, &mut auth.keys_file]);
        of_auth.chain(std::iter::once(&mut hook.secrets_file))
    });
    let of_polls = config.poll.values_mut().flat_map(|poll| {
        let of_auth = auth_checks::files(&mut poll.auth);
        of_auth.into_iter().chain([&mut poll.schema])
    });
    let of_apis = config.api.values_mut().flat_map(|api| {
        let of_auth = auth_checks::files(&mut api.auth);
        of_auth.into_iter().chain([
            &mut api.ca_file,
            &mut api.client_cert_file,
            &mut api.client_key_file,
        ])
    });
    let of_files = config.files.values_mut().map(|files| &mut files.schema);
    let optional = optional
        .into_iter()
        .chain(config.wal.files())
        .chain(of_files)
        .chain(of_hooks)
        .chain(of_polls)
        .chain(of_apis)
        .chain(config.call.values_mut().map(|call| &mut call.schema))
        .flatten();
    optional.into_iter().try_for_each(make_absolute)?;
    Ok(config)
}

/// Checks the rules that need a complete configuration, and reads the files of tokens and secrets.
fn finish(mut config: Config, findings: &mut Findings<'_>) -> Config {
    checks::check_tokens(&config.server, findings);
    checks::default_drop(&mut config.events, findings);
    checks::read_tokens(&mut config, findings);
    poll_checks::read_secrets(&mut config, findings);
    hook_checks::read_secrets(&mut config, findings);
    file_checks::read_secrets(&mut config, findings);
    checks::check(&config, findings);
    lake_options::check(&config.lake, findings);
    poll_checks::check(&config, findings);
    call_checks::check(&config, findings);
    hook_checks::check(&config, findings);
    file_checks::check(&config, findings);
    config
}
