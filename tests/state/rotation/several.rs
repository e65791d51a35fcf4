//! Several processes that share one store: each is an engine with a connection of its own.

use std::time::Duration;

use tower_access::issuer::KeyRotation;
use tower_access::store::Store;

use super::store::{LIST, TestStore};
use super::{DAY, HOUR, INTERVAL, Issuing, LEAD, OVERLAP, SECOND, Surroundings, key_id};

/// Three engines and their connections.
async fn three(world: &Surroundings, rotation: KeyRotation) -> ([Issuing; 3], [TestStore; 3]) {
    let (first, one) = world.node(rotation).await;
    let (second, other) = world.node(rotation).await;
    let (third, last) = world.node(rotation).await;
    ([first, second, third], [one, other, last])
}

/// Waits until all publish so many keys, the same in the same order.
async fn publish(nodes: &[Issuing], count: usize) -> Vec<String> {
    let ids = nodes[0].key_ids_when(count).await;
    for node in nodes {
        assert_eq!(node.key_ids_when(count).await, ids);
    }
    ids
}

/// A token of each, all signed with the same key.
async fn tokens_of_all(nodes: &[Issuing], signer: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for node in nodes {
        let token = node.log_in().await;
        assert_eq!(key_id(&token), signer);
        tokens.push(token);
    }
    tokens
}

async fn open_everywhere(nodes: &[Issuing], tokens: &[String], are_good: bool) {
    for node in nodes {
        for token in tokens {
            assert_eq!(node.opens(token).await, are_good);
        }
    }
}

/// Waits for what happens beside the requests.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..2_500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    panic!("it never came to that");
}

#[tokio::test]
async fn a_key_that_was_announced_is_told_with_its_moment() {
    let world = Surroundings::new();
    let (node, _) = world.node(KeyRotation::default()).await;
    let before = node.access.key_rotation().unwrap();
    assert_eq!(before.next, None);
    node.access.rotate_keys().await.unwrap();
    let announced = node.access.key_rotation().unwrap();
    assert_eq!(announced.key_id, before.key_id);
    let (next, signs_from) = announced.next.unwrap();
    assert_eq!(signs_from.since(before.last_rotated_at), LEAD);
    world.advance(LEAD);
    let after = node.access.key_rotation().unwrap();
    assert_eq!((after.key_id, after.last_rotated_at, after.next), (next, signs_from, None));
}

#[tokio::test]
async fn key_14_all_publish_a_new_key_before_any_signs_with_it_and_then_all_do() {
    let world = Surroundings::new();
    let (nodes, _) = three(&world, KeyRotation::default()).await;
    let [first] = <[String; 1]>::try_from(publish(&nodes, 1).await).unwrap();
    let mut tokens = tokens_of_all(&nodes, &first).await;

    nodes[0].access.rotate_keys().await.unwrap();
    // Whoever has heard and whoever has not sign with the same key.
    tokens.extend(tokens_of_all(&nodes, &first).await);
    open_everywhere(&nodes, &tokens, true).await;
    let ids = publish(&nodes, 2).await;
    assert_eq!(ids[0], first);
    let second = ids[1].clone();
    for wait in [Duration::ZERO, LEAD - SECOND] {
        world.advance(wait);
        tokens.extend(tokens_of_all(&nodes, &first).await);
        open_everywhere(&nodes, &tokens, true).await;
    }

    world.advance(SECOND);
    let mut late = tokens_of_all(&nodes, &second).await;
    assert_eq!(publish(&nodes, 2).await, [second.clone(), first]);
    open_everywhere(&nodes, &tokens, true).await;
    world.advance(OVERLAP - SECOND);
    late.extend(tokens_of_all(&nodes, &second).await);
    open_everywhere(&nodes, &tokens, true).await;
    world.advance(SECOND);
    open_everywhere(&nodes, &tokens, false).await;
    open_everywhere(&nodes, &late, true).await;
    assert_eq!(publish(&nodes, 1).await, [second]);
}

#[tokio::test]
async fn key_14_a_key_that_is_due_is_replaced_by_one_process_for_all() {
    let world = Surroundings::new();
    let (nodes, _) = three(&world, KeyRotation::default()).await;
    let before = nodes[2].log_in().await;
    world.advance(INTERVAL - HOUR);
    let [first, second, third] = &nodes;
    // All three find it due before any of them has begun.
    tokio::join!(first.document(), second.document(), third.document());
    let ids = publish(&nodes, 2).await;
    assert_eq!(ids[0], key_id(&before));
    assert_eq!(world.store.count_of_keys().await, 2);

    world.advance(HOUR - SECOND);
    let mut tokens = tokens_of_all(&nodes, &ids[0]).await;
    world.advance(SECOND);
    tokens.extend(tokens_of_all(&nodes, &ids[1]).await);
    open_everywhere(&nodes, &tokens, true).await;
    // Nobody has begun another rotation, a minute later either.
    world.advance(60 * SECOND);
    tokens_of_all(&nodes, &ids[1]).await;
    assert_eq!(publish(&nodes, 2).await.len(), world.store.count_of_keys().await);
}

#[tokio::test]
async fn key_14_a_rotation_that_a_process_began_and_did_not_end_is_made_by_another() {
    let world = Surroundings::new();
    let (nodes, _) = three(&world, KeyRotation::default()).await;
    let lock = world.store.insert("signing-keys/lock", "1".into(), 60 * SECOND);
    world.advance(INTERVAL);
    assert!(lock.await.unwrap());
    let before = nodes[0].log_in().await;
    nodes[1].log_in().await;
    world.advance(59 * SECOND);
    assert_eq!(nodes[1].key_ids().await, [key_id(&before)]);
    world.advance(SECOND);
    nodes[1].log_in().await;
    assert_eq!(publish(&nodes, 2).await[0], key_id(&before));
}

#[tokio::test]
async fn key_14_of_two_processes_that_rotate_at_once_neither_undoes_what_the_other_did() {
    let world = Surroundings::new();
    let (nodes, connections) = three(&world, KeyRotation::default()).await;
    let before = nodes[0].log_in().await;
    publish(&nodes, 1).await;
    // Nobody hears of what is lost, and puts it back.
    connections.iter().for_each(|store| store.set_deaf(true));
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.store.let_readers_meet(2);
    let (one, other) = tokio::join!(nodes[0].access.rotate_keys(), nodes[1].access.rotate_keys());
    one.unwrap();
    other.unwrap();
    let restarted = world.kept(1).await;
    assert_eq!(restarted.key_ids().await.len(), 3);
    connections.iter().for_each(|store| store.set_deaf(false));
    let ids = publish(&nodes, 3).await;
    assert_eq!(ids[0], key_id(&before));
    let waiting = tokens_of_all(&nodes, &ids[0]).await;
    world.advance(LEAD);
    let tokens = tokens_of_all(&nodes, &ids[1]).await;
    open_everywhere(&nodes, &[waiting, tokens].concat(), true).await;
    assert_eq!(restarted.document().await, nodes[2].document().await);
}

#[tokio::test]
async fn key_14_more_rotations_than_a_list_holds_are_refused_and_lose_no_key_that_signs() {
    let world = Surroundings::new();
    let (nodes, _) = three(&world, KeyRotation::default()).await;
    let before = nodes[0].log_in().await;
    for count in 2..=9 {
        nodes[count % 3].access.rotate_keys().await.unwrap();
        publish(&nodes, count).await;
    }
    let error = nodes[0].access.rotate_keys().await.unwrap_err().to_string();
    assert!(error.contains("too many keys are announced"), "{error}");
    open_everywhere(&nodes, &tokens_of_all(&nodes, &key_id(&before)).await, true).await;
    world.advance(LEAD);
    nodes[0].access.rotate_keys().await.unwrap();
    for node in &nodes {
        until(async || !node.key_ids().await.contains(&key_id(&before))).await;
    }
    assert_eq!(publish(&nodes, 9).await.len(), 9);
}

#[tokio::test]
async fn key_14_processes_that_start_at_once_on_an_empty_store_have_one_key() {
    let world = Surroundings::new();
    let rotation = KeyRotation::default();
    world.store.let_readers_meet(3);
    let (one, other, last) =
        tokio::join!(world.node(rotation), world.node(rotation), world.node(rotation));
    let nodes = [one.0, other.0, last.0];
    let ids = publish(&nodes, 1).await;
    open_everywhere(&nodes, &tokens_of_all(&nodes, &ids[0]).await, true).await;
    assert_eq!(world.store.count_of_keys().await, 1, "the others are taken away again");
    // They do hear of each other.
    nodes[2].access.rotate_keys().await.unwrap();
    publish(&nodes, 2).await;
}

#[tokio::test]
async fn key_14_a_store_that_was_emptied_gets_its_keys_back_and_nobody_is_logged_out() {
    let world = Surroundings::new();
    let (nodes, _) = three(&world, KeyRotation::default()).await;
    let mut tokens = vec![nodes[0].log_in().await];
    nodes[1].access.rotate_keys().await.unwrap();
    publish(&nodes, 2).await;
    world.advance(LEAD);
    tokens.push(nodes[2].log_in().await);
    for count in [2, 3] {
        world.store.flush();
        until(async || world.store.get(LIST).await.unwrap().is_some()).await;
        let ids = publish(&nodes, count).await;
        open_everywhere(&nodes, &tokens, true).await;
        let restarted = world.kept(1).await;
        assert_eq!(restarted.key_ids().await, ids, "the times are kept as well");
        open_everywhere(&[restarted], &tokens, true).await;
        // And they go on hearing of each other.
        nodes[count % 3].access.rotate_keys().await.unwrap();
        publish(&nodes, count + 1).await;
        world.advance(LEAD);
        tokens.push(nodes[0].log_in().await);
    }
}

#[tokio::test]
async fn key_14_keys_of_an_emptied_store_and_of_those_who_knew_better_are_put_together() {
    let world = Surroundings::new();
    let (nodes, connections) = three(&world, KeyRotation::default()).await;
    world.advance(3 * DAY);
    nodes[0].access.rotate_keys().await.unwrap();
    let old = publish(&nodes, 2).await;
    world.advance(10 * DAY);
    let mut tokens = vec![nodes[0].log_in().await];
    assert_eq!(publish(&nodes, 1).await, old[1..]);
    // Nobody reaches the store while it is emptied, and somebody begins anew.
    connections.iter().for_each(|store| store.set_away(true));
    world.store.flush();
    let beginner = world.kept(1).await;
    tokens.push(beginner.log_in().await);
    let new = beginner.key_ids().await;
    connections.iter().for_each(|store| store.set_away(false));
    let all = [new[0].clone(), old[1].clone()];
    assert_eq!(publish(&nodes, 2).await, all, "the newest one signs");
    assert_eq!(beginner.key_ids_when(2).await, all);
    tokens.extend(tokens_of_all(&nodes, &new[0]).await);
    open_everywhere(&nodes, &tokens, true).await;
    open_everywhere(&[beginner], &tokens, true).await;
}

#[tokio::test]
async fn key_14_a_process_without_its_store_goes_on_and_catches_up_without_a_restart() {
    let world = Surroundings::new();
    let (nodes, [_, cut_off, _]) = three(&world, KeyRotation::default()).await;
    let before = nodes[1].log_in().await;
    let document = nodes[1].document().await;
    cut_off.set_away(true);
    let error = nodes[1].access.rotate_keys().await.unwrap_err().to_string();
    assert!(error.contains("the signing key was not rotated") && error.contains("away"), "{error}");
    nodes[0].access.rotate_keys().await.unwrap();
    let ids = nodes[2].key_ids_when(2).await;
    world.advance(LEAD);
    let newer = nodes[0].log_in().await;
    assert_eq!(key_id(&newer), ids[1]);
    // It signs and verifies with what it knows, and the others verify that.
    assert_eq!(nodes[1].document().await, document);
    let meanwhile = nodes[1].log_in().await;
    assert_eq!(key_id(&meanwhile), key_id(&before));
    open_everywhere(&nodes, &[before, meanwhile], true).await;
    assert!(!nodes[1].opens(&newer).await, "it has not heard of that key");

    cut_off.set_away(false);
    assert_eq!(publish(&nodes, 2).await, [ids[1].clone(), ids[0].clone()]);
    let tokens = tokens_of_all(&nodes, &ids[1]).await;
    open_everywhere(&nodes, &[tokens, vec![newer]].concat(), true).await;
    nodes[1].access.rotate_keys().await.unwrap();
    publish(&nodes, 3).await;
}

#[tokio::test]
async fn key_14_a_key_that_is_due_while_the_store_is_away_is_replaced_when_it_is_back() {
    let world = Surroundings::new();
    let (nodes, connections) = three(&world, KeyRotation::default()).await;
    let before = nodes[1].log_in().await;
    connections.iter().for_each(|store| store.set_away(true));
    world.advance(INTERVAL + DAY);
    let tokens = tokens_of_all(&nodes, &key_id(&before)).await;
    open_everywhere(&nodes, &tokens, true).await;
    assert_eq!(publish(&nodes, 1).await, [key_id(&before)]);
    connections.iter().for_each(|store| store.set_away(false));
    world.advance(60 * SECOND);
    nodes[2].log_in().await;
    let ids = publish(&nodes, 2).await;
    world.advance(HOUR);
    open_everywhere(&nodes, &tokens_of_all(&nodes, &ids[1]).await, true).await;
}

#[tokio::test]
async fn key_14_records_do_not_end_while_a_process_runs_with_them() {
    let world = Surroundings::new();
    let (node, _) = world.node(KeyRotation::default().manual()).await;
    let ids = node.key_ids().await;
    for _ in 0..4 {
        let written = world.store.written().len();
        // They are kept for two years; any request finds that they are old.
        world.advance(700 * DAY);
        assert_eq!(node.key_ids().await, ids);
        until(async || world.store.written().len() >= written + 2).await;
    }
    assert_eq!(world.kept(1).await.key_ids().await, ids);
}
