//! Approvals pass once, for exactly one request, decided by somebody else, in time.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn digest(request: &Value) -> RequestDigest {
    RequestDigest::of(&BoundTo {
        principal: "gpt",
        agent: "a1",
        kind: "tool",
        policy_hash: "p",
        request,
    })
}

fn approval(id: &str, request: &Value) -> Approval {
    Approval {
        id: id.to_owned(),
        principal: "gpt".to_owned(),
        person: Some("ann".to_owned()),
        key_digest: Some("k1".to_owned()),
        digest: digest(request),
        expires: 1_000,
        status: Status::Pending,
    }
}

const BOB: Decider<'_> = Decider { principal: "bob", person: Some("bob"), key_digest: Some("k2") };

#[test]
fn an_approved_request_passes_once() {
    let request = json!({"command": "rm -rf build"});
    let mut inbox = Inbox::default();
    inbox.add(approval("x", &request)).unwrap();
    assert_eq!(inbox.take(&digest(&request), 0), None, "pending");
    inbox.may_decide("x", &BOB, 999).unwrap();
    inbox.decided("x", true);
    assert_eq!(inbox.may_decide("x", &BOB, 0).unwrap_err(), DecisionError::AlreadyDecided);
    assert_eq!(
        inbox.take(&digest(&json!({"command": "rm -rf build "})), 0),
        None,
        "another request"
    );
    assert_eq!(inbox.take(&digest(&request), 1_000), None, "too late");
    let taken = inbox.take(&digest(&request), 999).unwrap();
    assert_eq!(inbox.take(&digest(&request), 999), None, "used");
    inbox.restore(taken);
    assert!(inbox.take(&digest(&request), 999).is_some(), "restored after a failed commit");
}

#[test]
fn nobody_decides_their_own_request() {
    let mut inbox = Inbox::default();
    inbox.add(approval("x", &json!(1))).unwrap();
    let own = [
        Decider { principal: "gpt", person: None, key_digest: None },
        Decider { principal: "other", person: Some("ann"), key_digest: None },
        Decider { principal: "other", person: None, key_digest: Some("k1") },
    ];
    for by in own {
        assert_eq!(inbox.may_decide("x", &by, 0).unwrap_err(), DecisionError::OwnRequest, "{by:?}");
    }
    assert_eq!(inbox.may_decide("y", &BOB, 0).unwrap_err(), DecisionError::NotFound);
    assert_eq!(inbox.may_decide("x", &BOB, 1_000).unwrap_err(), DecisionError::Expired);
    // A caller without a person or key is not the same as another one without.
    let mut anonymous = approval("z", &json!(2));
    (anonymous.person, anonymous.key_digest) = (None, None);
    inbox.add(anonymous).unwrap();
    let by = Decider { principal: "local", person: None, key_digest: None };
    assert!(inbox.may_decide("z", &by, 0).is_ok());
}

#[test]
fn a_denied_or_expired_approval_is_gone() {
    let mut inbox = Inbox::default();
    inbox.add(approval("x", &json!(1))).unwrap();
    inbox.add(approval("y", &json!(2))).unwrap();
    inbox.decided("x", false);
    assert_eq!(inbox.take(&digest(&json!(1)), 0), None);
    assert_eq!((inbox.overdue(999), inbox.overdue(1_000)), (vec![], vec!["y".to_owned()]));
    assert_eq!(inbox.next_expiry(), Some(1_000));
    assert!(inbox.close("y").is_some() && inbox.close("y").is_none());
    assert_eq!(inbox.iter().count(), 0);
}

#[test]
fn a_full_inbox_takes_no_more() {
    let mut inbox = Inbox::default();
    for n in 0..MAX_OPEN {
        inbox.add(approval(&n.to_string(), &json!(n))).unwrap();
    }
    assert_eq!(inbox.add(approval("more", &json!("more"))), Err(InboxFull));
    // The same request again replaces its approval and needs no room.
    assert_eq!(inbox.add(approval("again", &json!(0))), Ok(()));
    assert_eq!(inbox.iter().count(), MAX_OPEN);
}

#[test]
fn a_digest_depends_on_every_part_and_not_on_the_order_of_keys() {
    let request = json!({"a": 1, "b": [true, null, "x"]});
    let base =
        BoundTo { principal: "p", agent: "a", kind: "tool", policy_hash: "h", request: &request };
    let same: Value = serde_json::from_str(r#"{"b": [true, null, "x"], "a": 1}"#).unwrap();
    assert_eq!(RequestDigest::of(&base), RequestDigest::of(&BoundTo { request: &same, ..base }));
    let number = json!({"a": 1.0, "b": [true, null, "x"]});
    let moved = json!({"a": 1, "b": [true, null], "x": null});
    let others = [
        BoundTo { principal: "pa", agent: "", ..base },
        BoundTo { principal: "q", ..base },
        BoundTo { agent: "b", ..base },
        BoundTo { kind: "act", ..base },
        BoundTo { policy_hash: "i", ..base },
        BoundTo { request: &number, ..base },
        BoundTo { request: &moved, ..base },
    ];
    for other in &others {
        assert_ne!(RequestDigest::of(other), RequestDigest::of(&base), "{other:?}");
    }
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
    fn no_sequence_uses_an_approval_twice(steps in prop::collection::vec((0..6_u8, 0..4_u64, 0..1_200_u64), 0..60)) {
        let mut inbox = Inbox::default();
        let mut used = std::collections::BTreeSet::new();
        let mut approved = std::collections::BTreeSet::new();
        let mut next = 0;
        for (step, request, now) in steps {
            let digest = digest(&json!(request));
            match step {
                0 => {
                    if inbox.open_for(&digest, now).is_none() {
                        next += 1;
                        let _ = inbox.add(approval(&next.to_string(), &json!(request)));
                    }
                }
                1 | 2 => {
                    let open = inbox.open_for(&digest, now).map(|open| open.id.clone());
                    if let Some(id) = open && inbox.may_decide(&id, &BOB, now).is_ok() {
                        inbox.decided(&id, step == 1);
                        if step == 1 {
                            approved.insert(id);
                        }
                    }
                }
                3 | 4 => {
                    if let Some(taken) = inbox.take(&digest, now) {
                        prop_assert!(now < taken.expires && approved.contains(&taken.id));
                        prop_assert!(used.insert(taken.id), "used twice");
                    }
                }
                _ => inbox.overdue(now).iter().for_each(|id| { inbox.close(id); }),
            }
        }
    }
}
