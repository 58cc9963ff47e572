//! Files that the bucket serves itself.

use reqwest::redirect::Policy;
use reqwest::{Client, Method};

use super::{Given, MediaService, by_hash, given, of_message};
use crate::media::{JPEG, key};
use crate::support::database::world::{Backend, World, on_both};
use crate::support::program::service::answer;

async fn redirecting(world: World) -> MediaService {
    MediaService::in_bucket(world, &[("BUZON_MEDIA_REDIRECT", "true")]).await
}

/// Returns the first answer without following it.
async fn redirect(media: &MediaService, path: &str) -> Given {
    let client = Client::builder().redirect(Policy::none()).build().expect("it can be built");
    let url = format!("http://{}{path}", media.service.api_address);
    given(client.get(url).bearer_auth(media.service.token())).await
}

#[test(flavor = "multi_thread")]
async fn a_redirect_to_the_bucket_gives_the_file_with_its_type_and_name_and_asks_for_no_token() {
    on_both(async |world| {
        let media = redirecting(world).await;
        media.put("A", "/f/men%C3%BA.jpg", JPEG).await;
        media.put("B", "/f/foto.jpg", b"<svg onload=alert(1)>").await;
        for (path, kind, disposition, content) in [
            (by_hash(JPEG), "image/jpeg", "inline; filename*=UTF-8''men%C3%BA.jpg", JPEG),
            (of_message("A"), "image/jpeg", "inline; filename*=UTF-8''men%C3%BA.jpg", JPEG),
            (of_message("B"), "image/svg+xml", "attachment; filename=\"foto.jpg\"", b"<svg onload=alert(1)>"),
        ] {
            let answer = redirect(&media, &path).await;
            assert_eq!((answer.status, answer.body.len()), (307, 0), "{answer:?}");
            assert_eq!(answer.header("cache-control"), "no-store");
            let location = answer.header("location");
            let endpoint = media.s3.as_ref().expect("the blob store is a bucket").endpoint.as_str();
            assert!(location.starts_with(endpoint) && location.contains("X-Amz-Expires=300"), "{location}");
            assert!(!location.contains(&media.service.token()));
            let file = given(crate::support::client().get(location)).await;
            assert_eq!((file.status, file.body.as_slice()), (200, content));
            assert_eq!(file.header("content-type"), kind);
            assert_eq!(file.header("content-disposition"), disposition);
            let part = given(crate::support::client().get(location).header("Range", "bytes=5-9")).await;
            assert_eq!((part.status, part.body.as_slice()), (206, &content[5..10]));
        }
        media.stop().await;
    })
    .await;
}

#[test(flavor = "multi_thread")]
async fn nobody_is_redirected_without_the_token_or_to_a_file_that_the_client_has() {
    let media = redirecting(World::new(Backend::Sqlite).await).await;
    media.put("A", "/f/foto.jpg", JPEG).await;
    for path in [by_hash(JPEG), of_message("A")] {
        assert_eq!(answer(media.service.get(&path)).await.code(), "token_missing");
        let known = media.get(&path).header("If-None-Match", format!("\"{}\"", key(JPEG)));
        assert_eq!(given(known).await.status, 304);
    }
    assert_eq!(answer(media.get(&by_hash(b"x"))).await.code(), "not_found");
    media.stop().await;
}

/// The bucket would refuse HEAD, because the URL is signed for GET.
#[test(flavor = "multi_thread")]
async fn head_is_answered_without_a_redirect() {
    let media = redirecting(World::new(Backend::Sqlite).await).await;
    media.put("A", "/f/foto.jpg", JPEG).await;
    let head = given(media.request(Method::HEAD, &by_hash(JPEG))).await;
    assert_eq!((head.status, head.header("content-length")), (200, "14"), "{head:?}");
    assert_eq!(head.header("content-disposition"), "inline; filename=\"foto.jpg\"");
    media.stop().await;
}

#[test(flavor = "multi_thread")]
async fn no_file_name_breaks_out_of_the_redirect() {
    let media = redirecting(World::new(Backend::Sqlite).await).await;
    media.put("A", "/f/foto.jpg", JPEG).await;
    let set = format!("UPDATE media SET file_name = CAST(x'{}' AS TEXT)", hex::encode("a\r\nX-Evil: 1&x=\"\0"));
    media.world.execute(&set).await;
    let answer = redirect(&media, &of_message("A")).await;
    assert_eq!(answer.status, 307);
    let file = given(crate::support::client().get(answer.header("location"))).await;
    assert_eq!((file.status, file.body.as_slice()), (200, JPEG), "{file:?}");
    assert_eq!(file.header("content-disposition"), "inline; filename*=UTF-8''a%0D%0AX%2DEvil%3A%201&x=%22%00.jpg");
    media.stop().await;
}
