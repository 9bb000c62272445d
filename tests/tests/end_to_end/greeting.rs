//! The first plugin of README.md: greeted, and not.

use serde_json::json;
use wasaga_tests::{World, check::promises};

#[tokio::test]
async fn greetings() {
    let world = World::embedded(&["greeting-rust"]).await;
    let host = world.host().start().await;
    let greet = async |id: &str, name: &str| {
        let greeting = json!({"greeting_id": id, "name": name});
        host.api.post("/api/v1/greetings?wait=30s", &greeting).await.ok()
    };
    let ada = greet("g-1", "Ada").await;
    assert_eq!((&ada["status"], &ada["greeting_id"]), (&json!("completed"), &json!("g-1")));
    assert_eq!(ada["outputs"]["write"], json!({"card": "Hello, Ada!"}));
    let nobody = greet("g-2", "nobody").await;
    assert_eq!(nobody["status"], "compensated");
    assert_eq!(nobody["error"]["code"], "nobody-there");
    host.logged("the card for nobody is torn up").await;
    promises(&world).await;
}
