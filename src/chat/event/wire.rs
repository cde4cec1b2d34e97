//! The envelope and its payload, read leniently: known keys with values of the right type count,
//! everything else is stepped over. Nothing is copied that isn't kept.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The envelope of every event.
#[derive(Default)]
pub struct Envelope<'text> {
    /// Absent, present but no object, or the payload.
    pub payload: Option<Option<Payload<'text>>>,
    pub domain: Option<Cow<'text, str>>,
    pub timestamp: Option<Cow<'text, str>>,
    pub correlation_id: Option<Cow<'text, str>>,
}

/// The fields of a payload that any chat event may have.
#[derive(Default)]
pub struct Payload<'text> {
    pub user_name: Option<Cow<'text, str>>,
    pub user_rank: Option<f64>,
    pub username: Option<Cow<'text, str>>,
    pub msg: Option<Cow<'text, str>>,
    pub message: Option<Cow<'text, str>>,
    pub time: Option<f64>,
    pub rank: Option<f64>,
    pub meta_rank: Option<f64>,
    pub is_shadow_muted: bool,
}

#[derive(Default)]
struct User<'text> {
    name: Option<Cow<'text, str>>,
    rank: Option<f64>,
}

#[derive(Default)]
struct Meta {
    rank: Option<f64>,
    shadow: bool,
}

/// A JSON object whose keys are taken one by one; of a key that comes twice the last counts.
pub trait Object<'text>: Default {
    /// Takes the value of a key, or steps over it.
    fn take<A: MapAccess<'text>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

impl<'text> Object<'text> for Envelope<'text> {
    fn take<A: MapAccess<'text>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "payload" => self.payload = Some(map.next_value::<Lenient<Payload>>()?.0),
            "domain" => self.domain = text(map)?,
            "timestamp" => self.timestamp = text(map)?,
            "correlation_id" => self.correlation_id = text(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'text> Object<'text> for Payload<'text> {
    fn take<A: MapAccess<'text>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "user" => {
                let user: User = map.next_value::<Lenient<User>>()?.0.unwrap_or_default();
                (self.user_name, self.user_rank) = (user.name, user.rank);
            }
            "username" => self.username = text(map)?,
            "msg" => self.msg = text(map)?,
            "message" => self.message = text(map)?,
            "time" => self.time = number(map)?,
            "rank" => self.rank = number(map)?,
            "meta" => {
                let meta: Meta = map.next_value::<Lenient<Meta>>()?.0.unwrap_or_default();
                (self.meta_rank, self.is_shadow_muted) = (meta.rank, meta.shadow);
            }
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'text> Object<'text> for User<'text> {
    fn take<A: MapAccess<'text>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "name" => self.name = text(map)?,
            "rank" => self.rank = number(map)?,
            _ => skip(map)?,
        }
        Ok(())
    }
}

impl<'text> Object<'text> for Meta {
    fn take<A: MapAccess<'text>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "rank" => self.rank = number(map)?,
            "shadow" => self.shadow = matches!(map.next_value()?, Scalar::Bool(true)),
            _ => skip(map)?,
        }
        Ok(())
    }
}

fn text<'text, A: MapAccess<'text>>(map: &mut A) -> Result<Option<Cow<'text, str>>, A::Error> {
    Ok(match map.next_value()? {
        Scalar::Text(text) => Some(text),
        _ => None,
    })
}

fn number<'text, A: MapAccess<'text>>(map: &mut A) -> Result<Option<f64>, A::Error> {
    Ok(match map.next_value()? {
        Scalar::Number(number) if number.is_finite() => Some(number),
        _ => None,
    })
}

fn skip<'text, A: MapAccess<'text>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

/// An object where there is one, `None` for any other JSON value.
pub struct Lenient<T>(pub Option<T>);

impl<'text, T: Object<'text>> Deserialize<'text> for Lenient<T> {
    fn deserialize<D: Deserializer<'text>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'text, T: Object<'text>> Visitor<'text> for ObjectVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'text>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = T::default();
        while let Some(Scalar::Text(key)) = map.next_key::<Scalar>()? {
            object.take(&key, &mut map)?;
        }
        Ok(Some(object))
    }

    fn visit_seq<A: SeqAccess<'text>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A JSON value that is no object and no list; those count as nothing.
enum Scalar<'text> {
    Text(Cow<'text, str>),
    Number(f64),
    Bool(bool),
    Nothing,
}

impl<'text> Deserialize<'text> for Scalar<'text> {
    fn deserialize<D: Deserializer<'text>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'text> Visitor<'text> for ScalarVisitor {
    type Value = Scalar<'text>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'text str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(number as f64))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(number as f64))
    }

    fn visit_bool<E: Error>(self, yes: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(yes))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Nothing)
    }

    fn visit_map<A: MapAccess<'text>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nothing)
    }

    fn visit_seq<A: SeqAccess<'text>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nothing)
    }
}
