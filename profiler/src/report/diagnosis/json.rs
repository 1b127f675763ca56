//! A diagnosis for programs. Its keys are stable: `docs/schema/doctor-1.json` describes them, and a
//! test holds the output against it.

use serde::Serialize;

use super::{Check, Diagnosis};

/// The name of this form of diagnosis.
const SCHEMA: &str = "heaptide.doctor/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    verdict: &'static str,
    pid: Option<u32>,
    checks: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'static str,
    title: &'static str,
    status: &'static str,
    tried: bool,
    found: &'a str,
    remedy: Option<&'a str>,
}

impl<'a> Entry<'a> {
    fn of(check: &'a Check) -> Self {
        Self {
            id: check.topic.id,
            title: check.topic.title,
            status: check.status.name(),
            tried: check.tried,
            found: &check.found,
            remedy: check.remedy.as_deref(),
        }
    }
}

impl Diagnosis {
    /// Writes it as JSON: indented, and ending in a line feed.
    pub fn json(&self) -> String {
        let document = Document {
            schema: SCHEMA,
            verdict: self.verdict().name(),
            pid: self.process.as_ref().map(|(pid, _)| pid.0),
            checks: self
                .host
                .iter()
                .chain(self.process_checks())
                .map(Entry::of)
                .collect(),
        };
        let text = serde_json::to_string_pretty(&document)
            .expect("writing to memory does not fail, and all keys are text");
        text + "\n"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::{
        Status,
        tests::{ENGINE, WHEELS},
    };
    use super::*;
    use crate::units::Pid;

    fn schema() -> Value {
        serde_json::from_str(include_str!("../../../../docs/schema/doctor-1.json")).unwrap()
    }

    /// A diagnosis in which everything occurs that can.
    fn full() -> Diagnosis {
        Diagnosis {
            host: vec![ENGINE.ok("runs"), WHEELS.degraded("three", "add one")],
            process: Some((
                Pid(7),
                vec![
                    ENGINE.failed("\"gone\"\u{1b}", "buy one"),
                    WHEELS.untried(ENGINE),
                ],
            )),
        }
    }

    fn written(diagnosis: &Diagnosis) -> Value {
        serde_json::from_str(&diagnosis.json()).unwrap()
    }

    fn is_described(value: &Value) -> bool {
        jsonschema::validator_for(&schema())
            .unwrap()
            .is_valid(value)
    }

    #[test]
    fn what_is_written_is_what_the_schema_describes() {
        assert!(is_described(&written(&full())));
        assert!(is_described(&written(&Diagnosis::default())));
    }

    #[test]
    fn what_the_schema_forbids_is_found() {
        let mut wrong = written(&full());
        wrong["checks"][0]["status"] = Value::from("fine");
        assert!(!is_described(&wrong));
        let mut without_remedy = written(&full());
        without_remedy["checks"][1]["remedy"] = Value::Null;
        assert!(!is_described(&without_remedy));
    }

    #[test]
    fn each_key_is_described_and_each_described_key_is_written() {
        let keys = |value: &Value| -> Vec<String> {
            let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys
        };
        let (document, schema) = (written(&full()), schema());
        assert_eq!(keys(&document), keys(&schema["properties"]));
        assert_eq!(
            keys(&document["checks"][0]),
            keys(&schema["$defs"]["check"]["properties"])
        );
        let names: Vec<Value> = Status::ALL.iter().map(|s| Value::from(s.name())).collect();
        assert_eq!(schema["$defs"]["status"]["enum"], Value::from(names));
    }

    #[test]
    fn the_checks_of_the_host_come_first() {
        let document = written(&full());
        assert_eq!(document["verdict"], "failed");
        assert_eq!(document["pid"], 7);
        let statuses: Vec<&str> = document["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| check["status"].as_str().unwrap())
            .collect();
        assert_eq!(statuses, ["ok", "degraded", "failed", "failed"]);
        assert_eq!(document["checks"][3]["tried"], false);
    }
}
