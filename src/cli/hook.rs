//! `lakehook hook sign`: a delivery as a provider would sign it, for trying one's own set-up.

use std::io::Read as _;
use std::process::ExitCode;

use clap::Args;

use super::health::base_of;
use crate::cli::exit::Failure;
use crate::clock::Clock;
use crate::config::{Delivery, Loaded};
use crate::out;

/// Arguments of `lakehook hook sign`.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The hook: the NAME of its section [hook.NAME]
    name: String,
    /// The media type of the body
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// The id of the delivery, where it is signed
    #[arg(long, value_name = "ID", default_value = "msg_1")]
    id: String,
}

/// Reads a body from stdin and prints a curl that sends it, signed with the first secret. No secret is printed.
pub fn sign(loaded: &Loaded, args: &SignArgs) -> Result<ExitCode, Failure> {
    let config = &loaded.config;
    let Some(hook) = config.hook.get(&args.name) else {
        let names: Vec<&str> = config.hook.keys().map(String::as_str).collect();
        let known = if names.is_empty() {
            "there are no hooks in the configuration".to_owned()
        } else {
            format!("the hooks are {}", names.join(", "))
        };
        let name = &args.name;
        return Err(Failure::Usage(format!(
            "there is no hook {name:?}; {known}"
        )));
    };
    let mut body = String::new();
    std::io::stdin()
        .read_to_string(&mut body)
        .map_err(|error| Failure::Usage(format!("stdin is no text in UTF-8: {error}")))?;
    let signed = hook.sign(&Delivery {
        name: &args.name,
        body: body.as_bytes(),
        content_type: &args.content_type,
        id: &args.id,
        now: Clock::system().now().wall,
    });
    let headers = signed.map_err(Failure::Usage)?;
    let url = format!("{}{}", base_of(&config.server), hook.path(&args.name));
    let mut lines = vec![format!("curl {}", quoted(&url))];
    lines.push(format!(
        "-H {}",
        quoted(&format!("Content-Type: {}", args.content_type))
    ));
    for (name, value) in headers {
        lines.push(format!("-H {}", quoted(&format!("{name}: {value}"))));
    }
    lines.push(format!("--data-binary {}", quoted(&body)));
    out::line(lines.join(" \\\n  "));
    Ok(ExitCode::SUCCESS)
}

/// Text that a shell takes as it is.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
