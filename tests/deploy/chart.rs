//! The chart for Kubernetes. What is rendered is looked at as objects, where helm is there to render it.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

use super::{parsed, repository, said, text_of};
use crate::support::needs::Need;

const CHART: &str = "deploy/helm/lakehook";
const NEEDED: [&str; 4] = [
    "image.repository=registry.example/lakehook",
    "lake.url=s3://my-lake/raw",
    "tokens.existingSecret=tokens",
    "storage.size=30Gi",
];

fn helm(arguments: &[&str]) -> Option<Output> {
    let inside = repository().join(".venv/bin/helm");
    let program = if inside.exists() {
        inside
    } else {
        PathBuf::from("helm")
    };
    Command::new(program)
        .args(arguments)
        .current_dir(repository())
        .output()
        .ok()
}

/// The objects of the chart with these values, or what helm says instead.
fn rendered(values: &[&str]) -> Option<Result<Vec<Value>, String>> {
    let mut arguments = vec!["template", "prod", CHART];
    for value in values {
        arguments.extend(["--set", value]);
    }
    let output = helm(&arguments)?;
    if !output.status.success() {
        return Some(Err(said(&output)));
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("objects.yml");
    std::fs::write(&file, &output.stdout).unwrap();
    let objects = parsed(&file).as_array().unwrap().clone();
    Some(Ok(objects
        .into_iter()
        .filter(|object| !object.is_null())
        .collect()))
}

fn object<'o>(objects: &'o [Value], kind: &str) -> &'o Value {
    objects
        .iter()
        .find(|object| object["kind"] == kind)
        .unwrap_or_else(|| panic!("no {kind} among {objects:#?}"))
}

#[test]
fn the_chart_has_the_version_of_the_program_and_names_keys_that_exist() {
    let chart = &parsed(&repository().join(CHART).join("Chart.yaml"))[0];
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    for (link, target) in [
        ("prometheus-rules.yml", "deploy/prometheus-rules.yml"),
        ("grafana-dashboard.json", "deploy/grafana-dashboard.json"),
    ] {
        assert_eq!(text_of(&format!("{CHART}/files/{link}")), text_of(target));
    }
    let statefulset = text_of(&format!("{CHART}/templates/statefulset.yaml"));
    let settings = text_of("lakehook.toml");
    let mut keys = 0;
    for word in statefulset
        .split([' ', ',', '}'])
        .filter(|word| word.contains("__"))
    {
        let (section, key) = word
            .strip_prefix("LAKEHOOK_")
            .unwrap()
            .split_once("__")
            .unwrap();
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        let (_, rest) = settings.split_once(&format!("[{section}]\n")).unwrap();
        let section = rest.split("\n[").next().unwrap();
        assert!(section.contains(&format!("{key} = ")), "{word}");
        keys += 1;
    }
    assert!(keys >= 8, "{keys}");
}

#[test]
fn the_chart_makes_a_stateful_set_that_keeps_what_was_acknowledged() {
    let Some(objects) = rendered(&NEEDED) else {
        return Need::Helm.skip("helm is not installed");
    };
    let objects = objects.unwrap();
    let set = object(&objects, "StatefulSet");
    let kept = &set["spec"]["persistentVolumeClaimRetentionPolicy"];
    assert_eq!(
        (&kept["whenDeleted"], &kept["whenScaled"]),
        (&"Retain".into(), &"Retain".into())
    );
    let claim = &set["spec"]["volumeClaimTemplates"][0]["spec"];
    assert_eq!(claim["resources"]["requests"]["storage"], "30Gi");
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["enableServiceLinks"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &pod["containers"][0];
    let env = |name: &str| {
        let list = container["env"].as_array().unwrap();
        let found = list.iter().find(|variable| variable["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {list:?}"))["value"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let seconds = |text: String| text.strip_suffix('s').unwrap().parse::<i64>().unwrap();
    let stop = seconds(env("LAKEHOOK_SERVER__DRAIN_DELAY"))
        + seconds(env("LAKEHOOK_SERVER__SHUTDOWN_GRACE"));
    assert!(pod["terminationGracePeriodSeconds"].as_i64().unwrap() > stop);
    let probe = &container["readinessProbe"];
    assert_eq!(probe["httpGet"]["path"], "/ready");
    // The delay outlasts what a balancer needs to notice.
    let noticed =
        probe["periodSeconds"].as_i64().unwrap() * probe["failureThreshold"].as_i64().unwrap();
    assert!(seconds(env("LAKEHOOK_SERVER__DRAIN_DELAY")) > 2 * noticed);
    assert_eq!(env("LAKEHOOK_LAKE__URL"), "s3://my-lake/raw");
    let mounts = container["volumeMounts"].as_array().unwrap();
    for mount in mounts {
        let (mut of_pod, mut of_claim) = (
            pod["volumes"].as_array().unwrap().iter(),
            std::iter::once("data"),
        );
        let known = of_pod.any(|volume| volume["name"] == mount["name"])
            || of_claim.any(|name| mount["name"] == name);
        assert!(known, "{mount}");
    }
    assert!(
        !objects.iter().any(|object| object["kind"] == "Secret"),
        "the Secret is somebody else's"
    );
}

#[test]
fn the_chart_refuses_what_no_pod_can_run_with() {
    let with = |more: &[&str]| rendered(&[&NEEDED[..2], more].concat());
    let Some(without_tokens) = with(&[]) else {
        return Need::Helm.skip("helm is not installed");
    };
    let without_tokens = without_tokens.unwrap_err();
    assert!(
        without_tokens.contains("tokens.existingSecret"),
        "{without_tokens}"
    );
    let bare = rendered(&[]).unwrap().unwrap_err();
    assert!(bare.contains("image.repository"), "{bare}");
    let open = "allowUnauthenticated=true";
    let polls = with(&[
        open,
        "replicas=2",
        "config=[poll.users]\nurl = \"https://api.example.com\"",
    ]);
    let polls = polls.unwrap().unwrap_err();
    assert!(polls.contains("replicas: 1"), "{polls}");
    let local = with(&[open, "replicas=2", "lake.url=/data/lake"])
        .unwrap()
        .unwrap_err();
    assert!(local.contains("s3://"), "{local}");
    assert!(with(&[open, "replicas=2"]).unwrap().is_ok());
}

#[test]
fn the_chart_can_have_everything() {
    let all = format!("{CHART}/ci/full-values.yaml");
    let Some(linted) = helm(&["lint", "--strict", CHART, "--values", &all]) else {
        return Need::Helm.skip("helm is not installed");
    };
    assert!(linted.status.success(), "{}", said(&linted));
    let output = helm(&["template", "prod", CHART, "--values", &all]).unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("objects.yml");
    std::fs::write(&file, &output.stdout).unwrap();
    let objects = parsed(&file).as_array().unwrap().clone();
    let rules = object(&objects, "PrometheusRule");
    assert_eq!(rules["spec"]["groups"][0]["name"], "lakehook");
    assert!(
        rules.to_string().contains("{{ $labels.instance }}"),
        "{rules}"
    );
    for kind in [
        "Ingress",
        "ServiceMonitor",
        "Secret",
        "ServiceAccount",
        "PodDisruptionBudget",
        "StatefulSet",
    ] {
        object(&objects, kind);
    }
    let is_dashboard = |object: &&Value| object["data"]["lakehook.json"].is_string();
    let dashboard = objects.iter().find(is_dashboard).unwrap();
    let text = dashboard["data"]["lakehook.json"].as_str().unwrap();
    assert_eq!(text, text_of("deploy/grafana-dashboard.json"));
    let files = objects
        .iter()
        .find(|object| object["data"]["user.json"].is_string());
    assert!(files.is_some());
    let mounts = &object(&objects, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"];
    assert!(
        mounts.to_string().contains("/etc/lakehook/files/user.json"),
        "{mounts}"
    );
}
