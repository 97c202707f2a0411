//! Commands that are only tried: the same answer as the real one's, and no trace.

use std::sync::Arc;

use super::hold_commits;
use super::memory;
use super::sample::{World, activate, assign, envelope, keyed, make_eligible, put, user};
use crate::domain::{ActivationId, Command, Envelope, Outcome, Rejection, Tables as _, Uid};
use crate::engine::ports::Reader as _;
use crate::engine::{Reply, SubmitError};

fn tried(who: &Uid, command: &Command) -> Envelope {
    Envelope { dry_run: true, ..envelope(who, command.clone()) }
}

async fn try_out(world: &World, who: &Uid, command: &Command) -> Result<Reply, SubmitError> {
    world.engine.submit(tried(who, command)).await
}

fn id_of(command: &Command) -> &ActivationId {
    let Command::RequestActivation { id, .. } = command else { panic!("{} asks for no activation", command.name()) };
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_answers_as_the_real_one_does_right_after() {
    let world = World::new();
    let (root, alice, bob) = (user("root"), user("alice"), user("bob"));
    world.done(&root, make_eligible(&alice, "writer")).await;
    let rows = [
        (&alice, activate(&alice, "writer", 5)),
        (&alice, activate(&alice, "writer", 5)),
        (&bob, activate(&bob, "writer", 5)),
        (&alice, put(&user("zoe"), &[])),
        (&root, put(&user("zoe"), &[])),
        (&root, put(&user("zoe"), &[])),
        (&user("nobody"), put(&user("zoe"), &[])),
    ];
    for (who, command) in rows {
        let tried = try_out(&world, who, &command).await;
        let real = world.engine.submit(envelope(who, command.clone())).await;
        match (tried, real) {
            (Ok(tried), Ok(real)) => {
                assert_eq!(tried.outcome, real.outcome, "{command:?}");
                assert!(tried.preview.is_some() && real.preview.is_none() && real.seq <= tried.seq + 1);
            }
            (Err(SubmitError::Rejected { rejection: tried, .. }), Err(SubmitError::Rejected { rejection: real, .. })) => {
                assert_eq!(tried, real, "{command:?}");
            }
            other => panic!("{command:?}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_leaves_no_trace() {
    let world = World::new();
    let (root, alice) = (user("root"), user("alice"));
    world.done(&root, make_eligible(&alice, "writer")).await;
    world.clock.advance(crate::domain::Duration::from_secs(1));
    let (commits, head, mark) = (world.memory.commits(), world.memory.head(), world.memory.mark());
    let before = memory::rows_of(&world.memory);
    let asked = activate(&alice, "writer", 5);
    for _ in 0..3 {
        assert!(matches!(try_out(&world, &alice, &asked).await.unwrap().outcome, Outcome::ActivationCreated(_)));
        assert!(try_out(&world, &alice, &put(&user("zoe"), &[])).await.is_err());
        let key = keyed(tried(&alice, &asked), "k", "body");
        assert!(!world.engine.submit(key).await.unwrap().repeated);
    }
    assert_eq!((world.memory.commits(), world.memory.head(), world.memory.mark()), (commits, head, mark));
    assert_eq!(memory::rows_of(&world.memory), before);
    assert!(!world.allowed(&alice));
    // the key stands for nothing, and the first refusal of a minute is still the first
    assert!(!world.engine.submit(keyed(envelope(&alice, asked), "k", "another")).await.unwrap().repeated);
    let records = world.memory.records().len();
    world.refused(&alice, put(&user("zoe"), &[])).await;
    assert_eq!(world.memory.records().len(), records + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_stand_can_be_read() {
    let world = World::new();
    let (root, alice) = (user("root"), user("alice"));
    world.done(&root, make_eligible(&alice, "writer")).await;
    let asked = activate(&alice, "writer", 5);
    let reply = try_out(&world, &alice, &asked).await.unwrap();
    let read = |reply: &Reply| {
        let preview = reply.preview.clone().unwrap();
        world
            .engine
            .previewed(&preview, |records, _, moment| {
                let found = records.activation(id_of(&asked))?.map(|found| (*found).clone());
                let why = found.as_ref().and_then(|found| found.justification);
                let text = why.map(|digest| records.text(&digest)).transpose()?.flatten();
                let holds = crate::domain::standing::standing(records, &alice, None, moment)?.in_force().count();
                Ok((found, text.map(|text| text.value), holds))
            })
            .unwrap()
    };
    let (would_be, text, holds) = read(&reply);
    assert_eq!((text.as_deref(), holds), (Some("the orders are stuck"), 1));
    assert_eq!(world.memory.activation(id_of(&asked)).unwrap(), None);
    world.done(&alice, asked.clone()).await;
    assert_eq!(would_be.map(Arc::new), world.memory.activation(id_of(&asked)).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_sees_what_commands_before_it_did_and_those_after_it_see_nothing_of_it() {
    let world = World::new();
    let (root, zoe) = (user("root"), user("zoe"));
    let commits = world.memory.commits();
    let opener = hold_commits(&world, 200);
    let submit = |envelope: Envelope| {
        let engine = Arc::clone(&world.engine);
        tokio::spawn(async move { engine.submit(envelope).await })
    };
    let mut answers = Vec::new();
    let group = [
        envelope(&root, put(&user("first"), &[])),
        tried(&root, &put(&zoe, &[])),
        tried(&root, &assign(&zoe, "writer")),
        envelope(&root, put(&zoe, &[])),
        tried(&root, &assign(&zoe, "writer")),
    ];
    for envelope in group {
        answers.push(submit(envelope));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    opener.join().unwrap();
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(match answer.await.unwrap() {
            Ok(reply) => Ok(reply.outcome),
            Err(SubmitError::Rejected { rejection, .. }) => Err(Rejection::rule(&rejection)),
            Err(other) => panic!("{other:?}"),
        });
    }
    assert_eq!(outcomes[1], Ok(Outcome::EntityCreated(zoe.clone())));
    assert!(outcomes[2].is_err(), "{outcomes:?}");
    assert_eq!(outcomes[3], Ok(Outcome::EntityCreated(zoe.clone())));
    assert!(matches!(outcomes[4], Ok(Outcome::AssignmentCreated(_))), "{outcomes:?}");
    assert_eq!(world.memory.commits() - commits, 2);
    assert!(!world.allowed(&zoe));
}
