//! Every kind of record has a bound of its own, where a store has to bound itself.

use bytes::Bytes;

use super::world::{World, memory, redb};

#[tokio::test]
async fn dos_03_a_flood_in_memory_is_bounded() {
    a_flood_of_one_kind_is_bounded_and_leaves_the_others_alone(&memory(20).await).await;
}

#[tokio::test]
async fn dos_03_a_flood_in_a_file_is_bounded() {
    a_flood_of_one_kind_is_bounded_and_leaves_the_others_alone(&redb(20).await).await;
}

async fn a_flood_of_one_kind_is_bounded_and_leaves_the_others_alone(world: &World) {
    let (store, life) = (&world.store, world.life(2));
    store.put("session/1", Bytes::new(), life).await.unwrap();
    store.put("pin/first", Bytes::new(), world.life(1)).await.unwrap();
    let mut refused = 0;
    for number in 0..100 {
        // Of whatever sort they are, they count as entries of their kind.
        let stored = match number % 3 {
            0 => store.put(&format!("pin/{number}"), Bytes::new(), life).await.map(drop),
            1 => store.count(&format!("pin/{number}"), 1, life).await.map(drop),
            _ => store.put_member("pin/set", &number.to_string(), Bytes::new(), life).await,
        };
        refused += usize::from(stored.is_err());
    }
    assert_eq!(refused, 100 - 19);
    assert!(store.insert("pin/x", Bytes::new(), life).await.is_err());
    assert!(store.get("pin/x").await.unwrap().is_none());
    // What is there can be read, changed, counted and taken.
    assert!(store.get("session/1").await.unwrap().is_some());
    assert!(store.replace("pin/0", b"", Bytes::from("y"), life).await.unwrap());
    assert_eq!(store.count("pin/1", 1, life).await.unwrap(), 2);
    assert_eq!(store.take("pin/0").await.unwrap(), Some(Bytes::from("y")));
    store.put("pin/x", Bytes::new(), life).await.unwrap();
    assert!(store.put("pin/y", Bytes::new(), life).await.is_err());
    // One has ended, and one comes in its place.
    world.pass(1).await;
    store.put("pin/y", Bytes::new(), life).await.unwrap();
    assert!(store.put("pin/z", Bytes::new(), life).await.is_err());
    // All have.
    world.pass(2).await;
    for number in 0..20 {
        store.put(&format!("pin/{number}"), Bytes::new(), life).await.unwrap();
    }
    assert!(store.put("pin/z", Bytes::new(), life).await.is_err());
}
