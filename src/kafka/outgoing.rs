//! What a step, a document or a head becomes on its way out: topic, key, payload. Pure: the same step gives the same
//! messages, whoever sends them and however often.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use smol_str::{SmolStr, ToSmolStr, format_smolstr};
use tracing::error;

use super::clients::Clients;
use super::heads::Head;
use super::inbox::Door;
use super::partition::partition_of;
use crate::deliver::message::message;
use crate::deliver::webhook::event;
use crate::engine::state::{Incident, PostRecord};
use crate::engine::{Document, Effect};
use crate::journal::{Refused, Step, own_key};
use crate::model::{Body, Event, PostId, Timestamp};
use crate::wire;

/// One message on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// The whole name of its topic.
    pub topic: String,
    /// Where its key does not say it.
    pub partition: Option<u32>,
    /// What it is about.
    pub key: SmolStr,
    /// What it says; `None` says that what the key names is gone.
    pub payload: Option<String>,
    /// When it was received, where it is handed over to its own shard.
    pub received: Option<Timestamp>,
    /// What happens when it cannot be sent.
    pub care: Care,
}

/// What happens when a message cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// It is sent again, whatever follows it: readers apply a higher `rev` only.
    Effect,
    /// It is sent again unless a newer one of the same key was sent since: what stands last in a compacted topic stays.
    Projection(u64),
    /// It is a hint; the next one does as well.
    Hint,
}

/// Makes them.
#[derive(Clone, Debug)]
pub struct Making {
    /// Knows the topics' names.
    pub clients: Arc<Clients>,
    /// Shards of the whole.
    pub shards: u32,
    /// Whether documents are told to other systems.
    pub projections: bool,
}

impl Making {
    /// All of an accepted step. `swept` are documents that its record wrote anew, although they did not change: they are
    /// told anew as well, so that whatever a late writer left last in a compacted topic does not stay.
    #[must_use]
    pub fn step(&self, shard: u32, step: &Arc<Step>, swept: &[Document]) -> Vec<Outgoing> {
        let effects = (0..step.effects.len()).map(|index| self.effect(shard, step, index));
        let refused = step.consumed.refused.iter().map(|refused| self.refused(shard, step, refused));
        let told = step.documents.iter().chain(swept).enumerate().filter(|_| self.projections);
        let documents = told.filter_map(|(index, document)| self.document(shard, step, index, document));
        effects.chain(refused).chain(documents).collect()
    }

    /// The head of a shard.
    ///
    /// # Panics
    /// Never: a head is JSON.
    #[must_use]
    pub fn head(&self, head: &Head) -> Outgoing {
        let key = SmolStr::from(head.key());
        let payload = String::from_utf8(head.encode()).expect("a head is JSON");
        Outgoing { partition: Some(head.shard), ..self.to("heads", key, Some(payload), Care::Hint) }
    }

    fn to(&self, topic: &str, key: SmolStr, payload: Option<String>, care: Care) -> Outgoing {
        Outgoing { topic: self.clients.topic(topic), partition: None, key, payload, received: None, care }
    }

    fn effect(&self, shard: u32, step: &Arc<Step>, index: usize) -> Outgoing {
        let effect = &step.effects[index];
        if let Effect::Forward(area, event) = effect {
            let payload = wire::event(event).to_string();
            let home = partition_of(area.as_str().as_bytes(), self.shards);
            let to = self.to(door_of(event).as_str(), area.to_smolstr(), Some(payload), Care::Effect);
            return Outgoing { partition: Some(home), received: Some(event.received), ..to };
        }
        let message = message(self.place(shard), step, index, &|_| None);
        let topic = match effect {
            Effect::Order(_) | Effect::Call(_) => "orders",
            Effect::Notice(_) | Effect::Agency(_) => "notices",
            Effect::Timeline(_) | Effect::Forward(..) => "timeline",
        };
        let incident = message.incident.as_ref().map(ToSmolStr::to_smolstr);
        let key = if topic == "timeline" { incident.unwrap_or_else(|| "area".into()) } else { message.key.clone() };
        let source = message
            .incident
            .as_ref()
            .map_or_else(|| format!("muster/shard-{shard}"), |id| format!("muster/{}", id.area));
        self.to(topic, key, Some(event(&message, &source)), Care::Effect)
    }

    /// What could not be read: the reason and the origin, never what it said.
    fn refused(&self, shard: u32, step: &Step, refused: &Refused) -> Outgoing {
        let origin = format!("{}/{shard}/{}", self.clients.topic(&refused.door), refused.offset);
        let data = wire::clean(json!({
            "reason": refused.reason, "field": refused.field, "detail": refused.detail, "origin": origin,
            "at": wire::time(step.at),
        }));
        let payload = json!({
            "specversion": "1.0", "type": "muster.rejected", "source": format!("muster/shard-{shard}"), "id": origin,
            "time": wire::time(step.at), "datacontenttype": "application/json", "data": data,
        });
        self.to("rejected", origin.into(), Some(payload.to_string()), Care::Effect)
    }

    /// An incident or a post, for other systems; nothing for any other document.
    fn document(&self, shard: u32, step: &Step, index: usize, document: &Document) -> Option<Outgoing> {
        let (area, own) = own_key(&document.key)?;
        let (kind, id) = own.split_once('/')?;
        let read = match (kind, document.body.as_deref()) {
            ("incident" | "post", None) => Ok(None),
            ("incident", Some(body)) => read::<Incident>(body, |i| wire::incident(&i)),
            ("post", Some(body)) => read::<PostRecord>(body, |record| wire::post(&PostId::from(id), &record)),
            _ => return None,
        };
        let data = read.inspect_err(|why| error!(key = %document.key, why, "kafka.document_unreadable")).ok()?;
        let (topic, key) = match kind {
            "incident" => ("incidents", SmolStr::from(id)),
            _ => ("posts", format_smolstr!("{area}:{id}")),
        };
        let rev = self.place(shard).rev(step.number, index);
        let payload = data.map(|mut data| {
            data["rev"] = rev.into();
            json!({
                "specversion": "1.0", "type": format!("muster.{kind}"), "source": format!("muster/{area}"),
                "id": format!("{id}/{rev}"), "subject": id, "time": wire::time(step.at),
                "datacontenttype": "application/json", "data": data,
            })
            .to_string()
        });
        Some(self.to(topic, key, payload, Care::Projection(rev)))
    }

    fn place(&self, shard: u32) -> wire::Shard {
        wire::Shard { number: shard, of: self.shards }
    }
}

fn read<T: DeserializeOwned>(body: &str, show: impl Fn(T) -> Value) -> Result<Option<Value>, String> {
    serde_json::from_str(body).map(|document| Some(show(document))).map_err(|e| e.to_string())
}

fn door_of(event: &Event) -> Door {
    match event.body {
        Body::Report(_) => Door::Reports,
        Body::Act(_) | Body::Position(_) => Door::Field,
        Body::Command(_) => Door::Commands,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::log::{Fold, Low};

    fn making(projections: bool) -> Making {
        Making { clients: Arc::new(Clients::new(crate::kafka::Options::default())), shards: 4, projections }
    }

    fn document(key: &str, body: Option<&str>) -> Document {
        Document { key: key.into(), body: body.map(Into::into) }
    }

    fn step(documents: Vec<Document>) -> Arc<Step> {
        Arc::new(Step { number: 9, at: Timestamp(1_000), documents, ..Step::default() })
    }

    const POST: &str = r#"{"v":1,"spec":null,"gone":false,"duty":"off","orders":["4304-20261123-1-1"]}"#;

    #[test]
    fn a_post_is_told_by_area_and_id_and_what_is_gone_is_a_tombstone() {
        let documents = vec![document("4304:post/P-017", Some(POST)), document("4304:incident/4304-20261123-1", None)];
        let told = making(true).step(2, &step(documents), &[]);
        assert_eq!((&*told[0].topic, &*told[0].key), ("muster.posts", "4304:P-017"));
        let payload: Value = serde_json::from_str(told[0].payload.as_deref().unwrap()).unwrap();
        assert_eq!(payload["data"]["duty"], "off");
        assert_eq!(payload["data"]["rev"], (9 * 65_536) * 4 + 2);
        assert_eq!((&*told[1].topic, &*told[1].key), ("muster.incidents", "4304-20261123-1"));
        assert_eq!(told[1].payload, None);
        assert_eq!(told[1].care, Care::Projection((9 * 65_536 + 1) * 4 + 2));
    }

    #[test]
    fn what_is_swept_is_told_anew_and_nothing_else_is_told() {
        let others = ["4304:head", "4304:report/4304-20261123-1/1", "4304:order/4304-20261123-1-1"];
        let documents = others.map(|key| document(key, Some("{}"))).to_vec();
        let swept = [document("4304:post/P-017", Some(POST))];
        let told = making(true).step(2, &step(documents.clone()), &swept);
        assert_eq!(told.iter().map(|t| &*t.key).collect::<Vec<_>>(), ["4304:P-017"]);
        assert_eq!(making(false).step(2, &step(documents), &swept), []);
    }

    #[test]
    fn a_head_lies_in_the_partition_of_its_shard() {
        let head = Head::of(3, &Fold::from(Low::default(), 4));
        let told = making(true).head(&head);
        assert_eq!((told.partition, &*told.key, told.care), (Some(3), "3", Care::Hint));
    }
}
