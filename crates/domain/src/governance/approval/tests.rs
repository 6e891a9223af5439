//! Approvals pass once, for exactly one request, decided by somebody else, in time.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::governance::command::{Act, Command, Tool};
use crate::governance::gate::{
    Chain, Denial, Gate, GateInputs, NoopObserver, Permit, Reason, Refusal, Verdict, evaluate,
};
use crate::governance::ids::{ActionName, AgentId, Principal};
use crate::governance::redaction::Redact;

fn key() -> ApprovalKey {
    ApprovalKey::new([7; 32])
}

fn tool(arguments: Value) -> Tool {
    let Value::Object(arguments) = arguments else { panic!("an object") };
    Tool {
        agent: AgentId::new("a1").unwrap(),
        tool: "Bash".to_owned().try_into().unwrap(),
        server: None,
        arguments: arguments.try_into().unwrap(),
        session_id: None,
        call_id: None,
        cwd: None,
    }
}

fn content(request: &Value) -> ContentDigest {
    ContentDigest::of(Command::Tool(&tool(json!({ "x": request })))).unwrap()
}

/// Calls `then` with what an approval of this request of `gpt` is bound to.
fn bound<T>(request: &Value, then: impl FnOnce(&BoundTo<'_>) -> T) -> T {
    let (principal, content) = (Principal::new("gpt"), content(request));
    then(&BoundTo {
        principal: &principal,
        agent: "a1",
        kind: "tool",
        policy_hash: "p",
        content: &content,
        rest: &Value::Null,
    })
}

fn digest(request: &Value) -> RequestDigest {
    bound(request, |bound| RequestDigest::of(&key(), bound))
}

fn take(inbox: &mut Inbox, request: &Value, now: u64) -> Option<Granted> {
    bound(request, |bound| inbox.take(&key(), bound, now))
}

fn approval(id: u64, request: &Value) -> Approval {
    Approval {
        id,
        principal: "gpt".to_owned(),
        person: Some("ann".to_owned()),
        key: Some("k1".to_owned()),
        digest: digest(request),
        expires: 1_000,
        status: Status::Pending,
    }
}

const BOB: Decider<'_> = Decider { principal: "bob", person: Some("bob"), key: Some("k2") };

#[test]
fn an_approved_request_passes_once() {
    let request = json!("rm -rf build");
    let mut inbox = Inbox::default();
    inbox.add(approval(1, &request));
    assert!(take(&mut inbox, &request, 0).is_none(), "pending");
    inbox.may_decide(1, &BOB, 999).unwrap();
    inbox.decided(1, true);
    assert_eq!(inbox.may_decide(1, &BOB, 0).unwrap_err(), DecisionError::AlreadyDecided);
    assert!(take(&mut inbox, &json!("rm -rf build "), 0).is_none(), "another request");
    assert!(take(&mut inbox, &request, 1_000).is_none(), "too late");
    let taken = take(&mut inbox, &request, 999).unwrap();
    assert!(take(&mut inbox, &request, 999).is_none(), "used");
    inbox.restore(taken);
    assert!(take(&mut inbox, &request, 999).is_some(), "restored after a failed commit");
}

#[test]
fn nobody_decides_their_own_request() {
    let mut inbox = Inbox::default();
    inbox.add(approval(1, &json!(1)));
    let own = [
        Decider { principal: "gpt", person: None, key: None },
        Decider { principal: "other", person: Some("ann"), key: None },
        Decider { principal: "other", person: None, key: Some("k1") },
    ];
    for by in own {
        assert_eq!(inbox.may_decide(1, &by, 0).unwrap_err(), DecisionError::OwnRequest, "{by:?}");
    }
    assert_eq!(inbox.may_decide(2, &BOB, 0).unwrap_err(), DecisionError::NotFound);
    assert_eq!(inbox.may_decide(1, &BOB, 1_000).unwrap_err(), DecisionError::Expired);
    // A caller without a person or key is not the same as another one without.
    let mut anonymous = approval(3, &json!(2));
    (anonymous.person, anonymous.key) = (None, None);
    inbox.add(anonymous);
    let by = Decider { principal: "local", person: None, key: None };
    assert!(inbox.may_decide(3, &by, 0).is_ok());
}

#[test]
fn a_denied_or_expired_approval_is_gone() {
    let mut inbox = Inbox::default();
    inbox.add(approval(1, &json!(1)));
    inbox.add(approval(2, &json!(2)));
    inbox.decided(1, false);
    assert!(take(&mut inbox, &json!(1), 0).is_none());
    assert_eq!((inbox.overdue(999), inbox.overdue(1_000)), (vec![], vec![2]));
    assert_eq!(inbox.next_expiry(), Some(1_000));
    assert!(inbox.close(2).is_some() && inbox.close(2).is_none());
    assert_eq!(inbox.iter().count(), 0);
}

#[test]
fn a_newer_request_replaces_an_older_one_which_then_expires() {
    let mut inbox = Inbox::default();
    inbox.add(approval(1, &json!(1)));
    inbox.decided(1, true);
    inbox.add(approval(2, &json!(1)));
    assert!(take(&mut inbox, &json!(1), 0).is_none(), "the newer one is pending");
    assert_eq!(inbox.overdue(1_000), [1, 2]);
    inbox.close(1);
    assert_eq!(inbox.open_for(&digest(&json!(1)), 0).map(|open| open.id), Some(2));
}

#[test]
fn the_inbox_is_bounded_as_a_whole_and_for_each_caller() {
    let mut inbox = Inbox::default();
    for n in 0..MAX_OPEN_OF_CALLER {
        assert_eq!(inbox.has_room("gpt"), Ok(()));
        inbox.add(approval(n as u64, &json!(n)));
    }
    assert_eq!((inbox.has_room("gpt"), inbox.has_room("bot")), (Err(InboxFull::OfCaller), Ok(())));
    for n in MAX_OPEN_OF_CALLER..MAX_OPEN {
        let principal = "others".to_owned();
        inbox.add(Approval { principal, ..approval(n as u64, &json!(n)) });
    }
    assert_eq!(inbox.has_room("bot"), Err(InboxFull::Whole));
}

#[test]
fn a_digest_depends_on_every_part_and_not_on_the_order_of_keys() {
    let request = json!({"a": 1, "b": [true, null, "x"]});
    let same: Value = serde_json::from_str(r#"{"b": [true, null, "x"], "a": 1}"#).unwrap();
    assert_eq!(digest(&request), digest(&same));
    assert_ne!(digest(&request), digest(&json!({"a": 1.0, "b": [true, null, "x"]})));
    assert_ne!(digest(&request), digest(&json!({"a": 1, "b": [true, null], "x": null})));
    let (p, pa, q) = (Principal::new("p"), Principal::new("pa"), Principal::new("q"));
    let keyed = Principal::new("p").with_digest([1; 32]);
    let (content, rest) = (content(&request), json!({"edits": []}));
    let base = BoundTo {
        principal: &p,
        agent: "a",
        kind: "tool",
        policy_hash: "h",
        content: &content,
        rest: &Value::Null,
    };
    let others = [
        BoundTo { principal: &pa, agent: "", ..base },
        BoundTo { principal: &q, ..base },
        BoundTo { principal: &keyed, ..base },
        BoundTo { agent: "b", ..base },
        BoundTo { kind: "act", ..base },
        BoundTo { policy_hash: "i", ..base },
        BoundTo { rest: &rest, ..base },
    ];
    for other in &others {
        assert_ne!(RequestDigest::of(&key(), other), RequestDigest::of(&key(), &base), "{other:?}");
    }
    let other_journal = ApprovalKey::new([8; 32]);
    assert_ne!(RequestDigest::of(&other_journal, &base), RequestDigest::of(&key(), &base));
    assert_ne!(key().fingerprint(&keyed), other_journal.fingerprint(&keyed));
    assert_eq!(key().fingerprint(&p), None);
}

#[test]
fn the_hosts_id_of_a_call_is_not_part_of_its_content() {
    let of = |tool: &Tool| ContentDigest::of(Command::Tool(tool));
    let call = tool(json!({"x": 1}));
    let named = |id: &str| Some(id.to_owned().try_into().unwrap());
    assert_eq!(of(&call), of(&Tool { call_id: named("c-1"), ..call.clone() }));
    assert_ne!(of(&call), of(&Tool { session_id: named("s-1"), ..call.clone() }));
    assert_ne!(of(&call), of(&Tool { cwd: Some("/".to_owned()), ..call.clone() }));
}

struct Asks;

impl Gate for Asks {
    fn name(&self) -> &'static str {
        "asks"
    }
    fn check(&self, _: &crate::governance::command::Subject<'_>, _: &GateInputs) -> Verdict {
        Verdict::refuse(Refusal::new(Reason::ApprovalRequired, "ask"))
    }
}

/// Hides digits.
struct Hides;

impl Redact for Hides {
    fn redact<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str> {
        text.replace(|c: char| c.is_ascii_digit(), "*").into()
    }
}

fn denial(principal: &str, input: &str) -> Box<Denial<Act>> {
    let payload = json!({ "input": input });
    let Value::Object(payload) = payload else { panic!("an object") };
    let act = Act {
        agent: AgentId::new("a1").unwrap(),
        action: ActionName::new("deploy").unwrap(),
        payload: payload.try_into().unwrap(),
    };
    let chain = Chain::new(Box::new(Asks), vec![], Box::new(Hides));
    let principal = Principal::new(principal);
    evaluate(&chain, principal, act, &GateInputs::default(), &NoopObserver).unwrap_err()
}

/// What passes with the approval of the request of `gpt` for `input`.
fn pass(denied: Box<Denial<Act>>) -> Result<Permit<Act>, Box<Denial<Act>>> {
    let approved = denial("gpt", "pin 1234");
    let bound = BoundTo {
        principal: &approved.principal,
        agent: "a1",
        kind: "act",
        policy_hash: "p",
        content: approved.approvable().unwrap(),
        rest: &Value::Null,
    };
    let mut inbox = Inbox::default();
    let digest = RequestDigest::of(&key(), &bound);
    inbox.add(Approval { digest, status: Status::Approved, ..approval(9, &json!(0)) });
    let granted = inbox.take(&key(), &bound, 0).unwrap();
    denied.approve(&granted)
}

#[test]
fn an_approval_permits_the_very_command_and_no_other() {
    let permit = pass(denial("gpt", "pin 1234")).unwrap();
    assert_eq!(permit.trace().approval_id, Some(9));
    assert_eq!(permit.command().payload.as_object()["input"], "pin ****", "redacted");
    // Both look the same to whoever reads the redacted request.
    assert!(pass(denial("gpt", "pin 4321")).is_err());
    assert!(pass(denial("bot", "pin 1234")).is_err());
    let other = denial("gpt", "pin 1234");
    let refusal = Refusal::new(Reason::RuleDeny, "no");
    let denied = Denial::new(other.principal, other.command, "rules", refusal, other.trace);
    assert!(pass(Box::new(denied)).is_err(), "denied for another reason");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,3}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn different_values_have_different_digests(a in any_json(), b in any_json()) {
        prop_assert_eq!(a == b, digest(&a) == digest(&b));
    }

    /// Whatever happens in whatever order, each approval is used at most once, and only after it was
    /// approved and before it expired.
    #[test]
    fn no_sequence_uses_an_approval_twice(steps in prop::collection::vec((0..7_u8, 0..4_u64, 0..1_200_u64), 0..60)) {
        let mut inbox = Inbox::default();
        let (mut used, mut approved) = (BTreeSet::new(), BTreeSet::new());
        let mut next = 0;
        for (step, request, now) in steps {
            let request = json!(request);
            let digest = digest(&request);
            match step {
                0 => {
                    if inbox.open_for(&digest, now).is_none() {
                        next += 1;
                        inbox.add(approval(next, &request));
                    }
                }
                1 | 2 => {
                    let open = inbox.open_for(&digest, now).map(|open| open.id);
                    if let Some(id) = open && inbox.may_decide(id, &BOB, now).is_ok() {
                        inbox.decided(id, step == 1);
                        if step == 1 {
                            approved.insert(id);
                        }
                    }
                }
                3 | 4 => {
                    if let Some(taken) = take(&mut inbox, &request, now) {
                        let taken = taken.approval();
                        prop_assert!(now < taken.expires && approved.contains(&taken.id));
                        prop_assert!(used.insert(taken.id), "used twice");
                    }
                }
                // The use could not be recorded.
                5 => if let Some(taken) = take(&mut inbox, &request, now) { inbox.restore(taken); },
                _ => inbox.overdue(now).iter().for_each(|id| { inbox.close(*id); }),
            }
        }
    }
}

fn call_of<'a>(
    principal: &'a Principal,
    agent: &'a str,
    policy_hash: &'a str,
    content: &'a ContentDigest,
) -> BoundTo<'a> {
    BoundTo { principal, agent, kind: "tool", policy_hash, content, rest: &Value::Null }
}

/// 100,000 repetitions of an approved call, each of them changed in one place or replayed: only the call
/// itself passes, and only once.
#[test]
fn no_changed_repetition_passes() {
    let base = json!({"command": "git push --force origin main", "n": 1, "list": ["a", "b"]});
    let gpt = Principal::new("gpt").with_digest([1; 32]);
    let callers = [
        gpt.clone(),
        Principal::new("gpt").with_digest([2; 32]),
        Principal::new("gpt"),
        Principal::new("gp").with_digest([1; 32]),
    ];
    let (agents, policies) = (["a1", "a2", "a1 "], ["p", "q", "p "]);
    let mut inbox = Inbox::default();
    let same = ContentDigest::of(Command::Tool(&tool(base.clone()))).unwrap();
    let digest = RequestDigest::of(&key(), &call_of(&gpt, "a1", "p", &same));
    inbox.add(Approval { digest, status: Status::Approved, ..approval(1, &base) });
    let command = base["command"].as_str().unwrap();
    let mut passed = 0;
    for n in 0..100_000_usize {
        let (caller, agent, policy) = (n % 4, n / 4 % 3, n / 12 % 3);
        let mut changed = base.clone();
        match n / 36 % 6 {
            0 => {}
            1 => {
                let mut text: Vec<char> = command.chars().collect();
                let place = n / 216 % text.len();
                text[place] = char::from_u32(u32::from(text[place]) + 1).unwrap();
                changed["command"] = text.into_iter().collect::<String>().into();
            }
            2 => changed["command"] = command[..n / 216 % command.len()].into(),
            3 => changed["n"] = (n + 2).into(),
            4 => changed[format!("k{n}")] = Value::Null,
            _ => changed["list"] = json!(["b", "a", n]),
        }
        let is_same = (caller, agent, policy) == (0, 0, 0) && changed == base;
        let content = ContentDigest::of(Command::Tool(&tool(changed))).unwrap();
        let bound = call_of(&callers[caller], agents[agent], policies[policy], &content);
        // The unchanged call comes in the first round as well; it waits there until the others were tried.
        if is_same && n < 50_000 {
            assert!(inbox.is_approved(&RequestDigest::of(&key(), &bound), 999));
            continue;
        }
        if let Some(granted) = inbox.take(&key(), &bound, 999) {
            assert!(is_same, "a changed call passed: {n}");
            assert_eq!(granted.approval().id, 1);
            passed += 1;
        }
    }
    assert_eq!(passed, 1);
}
