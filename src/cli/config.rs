//! `lakehook config`: shows the settings that are in force, and where each of them comes from.

use std::process::ExitCode;

use clap::Args;

use crate::config::{ConfigPlace, EffectiveSetting, Loaded};
use crate::out;

/// Width up to which values are padded, so that origins stand below each other.
const VALUE_CHARS: usize = 44;

/// Arguments of `lakehook config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Only what differs from the defaults, or was set to the default
    #[arg(long)]
    set: bool,
}

/// Prints the settings as TOML, with the origin of each as a comment.
pub fn run(loaded: &Loaded, args: &ConfigArgs) -> ExitCode {
    let is_set = |setting: &&EffectiveSetting| !matches!(setting.origin, ConfigPlace::Default(_));
    let shown = loaded.effective.iter();
    let shown: Vec<_> = shown
        .filter(|setting| !args.set || is_set(setting))
        .collect();
    let mut section = None;
    for setting in shown {
        if section.replace(&setting.section) != Some(&setting.section) {
            out::line(format_args!("[{}]", setting.section));
        }
        let line = format!("{} = {}", setting.key, setting.value);
        out::line(format_args!(
            "{line:<VALUE_CHARS$} # {}",
            setting.origin.brief().as_deref().unwrap_or("default")
        ));
    }
    for warning in &loaded.warnings {
        out::line(format_args!("# warning: {warning}"));
    }
    ExitCode::SUCCESS
}
