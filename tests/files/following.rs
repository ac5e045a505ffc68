//! `lakehook files --follow`: goes on looking until it is stopped, alone or beside a service.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{Inbox, said};

/// A command that follows the inbox.
struct Following<'i> {
    inbox: &'i Inbox,
    child: std::process::Child,
}

impl<'i> Following<'i> {
    fn start(inbox: &'i Inbox) -> Self {
        let mut command = inbox.setup.command(&["files", "--follow"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        Self { inbox, child }
    }

    /// Moves a whole file into the inbox.
    fn arrives(&self, name: &str, body: &str) {
        self.inbox.put(".coming", body);
        std::fs::rename(self.inbox.path(".coming"), self.inbox.path(name)).unwrap();
    }

    /// Waits until so many runs are visible.
    fn visible(&self, runs: usize) {
        let markers = self.inbox.setup.directory();
        let markers = markers.join("lake/_lakehook/runs/claims");
        let begun = Instant::now();
        while std::fs::read_dir(&markers).map_or(0, Iterator::count) < runs {
            assert!(begun.elapsed() < Duration::from_secs(40), "{runs} runs");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it: what was said, and the exit code.
    fn stop(self) -> (String, Option<i32>) {
        let process = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(process, Signal::TERM).unwrap();
        said(&self.child.wait_with_output().unwrap())
    }
}

#[test]
fn files_are_taken_as_they_come_until_it_is_stopped() {
    let inbox = Inbox::new("every = \"1s\"");
    inbox.put("a.csv", "id,name\n1,A\n");
    let following = Following::start(&inbox);
    following.visible(1);
    following.arrives("b.csv", "id,name\n2,B\n3,C\n");
    following.visible(2);
    // Some more looks, which find nothing new.
    std::thread::sleep(Duration::from_millis(2500));
    let (said, code) = following.stop();
    assert_eq!(code, Some(0), "{said}");
    let lines = said.lines().filter(|line| line.contains(" files in "));
    assert_eq!(
        lines.count(),
        2,
        "one for each look that took a file: {said}"
    );
    let expected = json!([["a.csv", 2, 1], ["b.csv", 2, 2], ["b.csv", 3, 3]]);
    assert_eq!(inbox.rows(), expected);
    inbox.audit();
}

#[test]
fn a_file_that_fails_is_told_once_and_in_the_exit_code() {
    let inbox = Inbox::new("every = \"1s\"");
    inbox.put("open.csv", "id,name\n1,\"A\n");
    let following = Following::start(&inbox);
    following.arrives("good.csv", "id,name\n2,B\n");
    following.visible(1);
    std::thread::sleep(Duration::from_millis(2500));
    let (said, code) = following.stop();
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(said.matches("is never closed").count(), 1, "{said}");
    assert_eq!(inbox.rows(), json!([["good.csv", 2, 2]]));
}

#[test]
fn beside_a_service_it_goes_on_too() {
    // The system tells the service of no files below the inbox itself, and it looks once an hour.
    let inbox = Inbox::of("**/*.csv", "ndjson", "every = \"1h\"");
    std::fs::create_dir(inbox.path("sub")).unwrap();
    let program = inbox.setup.start();
    let config = inbox.setup.directory().join("lakehook.toml");
    let text = std::fs::read_to_string(config).unwrap();
    let often = text.replace("every = \"1h\"", "every = \"1s\"");
    inbox.setup.configure(&often);
    let following = Following::start(&inbox);
    following.arrives("sub/a.csv", "id,name\n1,A\n");
    following.visible(1);
    following.arrives("sub/b.csv", "id,name\n2,B\n");
    following.visible(2);
    let (said, code) = following.stop();
    assert_eq!(code, Some(0), "{said}");
    assert!(program.stop(Duration::from_secs(30)).success());
    let expected = json!([["sub/a.csv", 2, 1], ["sub/b.csv", 2, 2]]);
    assert_eq!(inbox.rows(), expected);
    inbox.audit();
}
