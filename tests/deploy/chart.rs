//! The chart for Kubernetes. What is rendered is looked at as objects, where helm is there to render it, and what a pod
//! gets as its configuration is read by the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::{parsed, repository, said, text_of};
use crate::support::needs::Need;
use crate::support::process::Setup;

const CHART: &str = "deploy/helm/lakehook";
/// Three nodes on one log.
const CLUSTER: [&str; 7] = [
    "image.repository=registry.example/lakehook",
    "lake.url=s3://my-lake/raw",
    "tokens.existingSecret=tokens",
    "replicas=3",
    "cluster.name=prod",
    "cluster.replica=nats://n1:4222\\,n2:4222\\,n3:4222",
    "cluster.existingSecret=shared",
];
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
    let pod = text_of(&format!("{CHART}/templates/_pod.tpl"));
    let settings = text_of("lakehook.toml");
    let mut keys = 0;
    for word in pod
        .split([' ', ',', '}'])
        .filter(|word| word.contains("__"))
    {
        let (section, key) = word
            .strip_prefix("LAKEHOOK_")
            .unwrap()
            .split_once("__")
            .unwrap();
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        let (_, rest) = settings.split_once(&format!("\n[{section}]")).unwrap();
        let section = rest.split("\n[").next().unwrap();
        assert!(section.contains(&format!("{key} = ")), "{word}");
        keys += 1;
    }
    assert!(keys >= 12, "{keys}");
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

/// The environment of a pod, by name. What refers to other variables is as Kubernetes gets it.
fn environment(container: &Value) -> BTreeMap<String, Value> {
    let variables = container["env"].as_array().unwrap().iter();
    let named = variables.map(|variable| {
        (
            variable["name"].as_str().unwrap().to_owned(),
            variable.clone(),
        )
    });
    named.collect()
}

#[test]
fn the_chart_makes_a_cluster_without_volumes_of_its_own() {
    let Some(objects) = rendered(&CLUSTER) else {
        return Need::Helm.skip("helm is not installed");
    };
    let objects = objects.unwrap();
    assert!(!objects.iter().any(|object| object["kind"] == "StatefulSet"));
    let deployment = &object(&objects, "Deployment")["spec"];
    assert_eq!(deployment["replicas"], 3);
    // One pod after the other, so that there is always one that owns the log.
    let update = &deployment["strategy"]["rollingUpdate"];
    assert_eq!(
        (&update["maxSurge"], &update["maxUnavailable"]),
        (&1.into(), &0.into())
    );
    let pod = &deployment["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/ready");
    let volumes = pod["volumes"].as_array().unwrap();
    let volume = |name: &str| {
        let found = volumes.iter().find(|volume| volume["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {volumes:?}"))
    };
    assert!(volume("data")["emptyDir"].is_object(), "{volumes:?}");
    assert_eq!(volume("cluster")["secret"]["secretName"], "shared");
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert!(
        mounts
            .iter()
            .all(|mount| volumes.iter().any(|volume| volume["name"] == mount["name"])),
        "{mounts:?}"
    );
    let selector = &deployment["selector"]["matchLabels"];
    let budget = &object(&objects, "PodDisruptionBudget")["spec"];
    assert_eq!(budget["maxUnavailable"], 1);
    assert_eq!(&budget["selector"]["matchLabels"], selector);
    let spread = &pod["topologySpreadConstraints"][0];
    assert_eq!(&spread["labelSelector"]["matchLabels"], selector);
    // Only the pods themselves reach the port for nodes.
    let ports = &container["ports"];
    assert_eq!(ports[1]["containerPort"], 4100);
    let rules = &object(&objects, "NetworkPolicy")["spec"]["ingress"];
    assert_eq!(rules[0], serde_json::json!({"ports": [{"port": 4000}]}));
    assert_eq!(rules[1]["ports"], serde_json::json!([{"port": 4100}]));
    let from = &rules[1]["from"][0]["podSelector"]["matchLabels"];
    assert_eq!(from, selector);
}

/// The program itself takes what the pod gets, with an address in the place of the pod's own.
#[test]
fn a_pod_of_a_cluster_has_a_configuration_that_holds() {
    for (is_ipv6, pod_ip) in [("false", "10.1.2.3"), ("true", "fd00::5")] {
        let ipv6 = format!("cluster.ipv6={is_ipv6}");
        let Some(objects) = rendered(&[&CLUSTER[..], &[ipv6.as_str()]].concat()) else {
            return Need::Helm.skip("helm is not installed");
        };
        let objects = objects.unwrap();
        let pod = &object(&objects, "Deployment")["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let environment = environment(container);
        let of_pod = &environment["POD_IP"]["valueFrom"]["fieldRef"]["fieldPath"];
        assert_eq!(of_pod, "status.podIP");
        let text = object(&objects, "ConfigMap")["data"]["lakehook.toml"].clone();
        let mut setup = Setup::new(text.as_str().unwrap());
        let dir = setup.directory().to_owned();
        for (name, variable) in environment.iter().filter(|(name, _)| name.contains("__")) {
            let value = variable["value"].as_str().unwrap();
            let value = match name.as_str() {
                "LAKEHOOK_CLUSTER__SECRET_FILE" | "LAKEHOOK_SERVER__TOKENS_FILE" => {
                    secret_beside(&dir, value)
                }
                _ => value.replace("$(POD_IP)", pod_ip),
            };
            setup = setup.env(name, &value);
        }
        let shown = setup.run(&["config", "--set"]);
        assert!(shown.status.success(), "{}", said(&shown));
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(!shown.contains("# warning"), "{shown}");
        let address = match is_ipv6 {
            "true" => "[fd00::5]:4100",
            _ => "10.1.2.3:4100",
        };
        for part in [address, "nats://n1:4222,n2:4222,n3:4222", "prod"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }
}

/// A file in this directory for one that is mounted into the pod.
fn secret_beside(dir: &Path, mounted: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let file = dir.join(mounted.replace('/', "-"));
    std::fs::write(&file, "00112233445566778899aabbccddeeff\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file.to_str().unwrap().to_owned()
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
fn the_chart_refuses_what_is_no_cluster() {
    let without = |key: &str| {
        let left = CLUSTER.iter().filter(|value| !value.starts_with(key));
        rendered(&left.copied().collect::<Vec<_>>())
    };
    let Some(alone) = without("cluster.replica") else {
        return Need::Helm.skip("helm is not installed");
    };
    let alone = alone.unwrap_err();
    assert!(alone.contains("set cluster.replica"), "{alone}");
    for (key, words) in [
        ("cluster.existingSecret", "set cluster.existingSecret"),
        ("cluster.name", "without cluster.name"),
    ] {
        let said = without(key).unwrap().unwrap_err();
        assert!(said.contains(words), "{words} in {said}");
    }
    let with = |more: &str| rendered(&[&CLUSTER[..], &[more]].concat()).unwrap();
    let local = with("lake.url=/data/lake").unwrap_err();
    assert!(local.contains("s3://"), "{local}");
    // One pod of a cluster runs the polls, so there may be several.
    let polls = with("config=[poll.users]\nurl = \"https://api.example.com\"");
    assert!(polls.is_ok(), "{polls:?}");
    let open = with("cluster.networkPolicy.enabled=false").unwrap();
    assert!(!open.iter().any(|object| object["kind"] == "NetworkPolicy"));
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
