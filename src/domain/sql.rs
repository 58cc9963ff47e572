//! The types that stand in queries as they are. Only the crate of a type may implement a foreign trait for it, so the
//! store cannot do this. A database holds no other values than those that were valid when they were written, so ids
//! are not validated again; a value that has no meaning at all is an error of its column.

/// Implements the traits for the types that are texts, for one database.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! texts {
    ($database:ident, $value:ident, $buffer:ident) => {
        texts!($database, $value, $buffer, InstanceId, |text| Ok(InstanceId::from_store(text)));
        texts!($database, $value, $buffer, ObjectKey, |text| Ok(ObjectKey::try_from(text.to_owned())?));
        texts!($database, $value, $buffer, LinkSource, |text| {
            LinkSource::parse(text).ok_or_else(|| "the text is no source of a link".into())
        });
        texts!($database, $value, $buffer, MediaState, |text| {
            MediaState::parse(text).ok_or_else(|| "the text is no state of a job".into())
        });
        texts!($database, $value, $buffer, ChatKind, |text| {
            ChatKind::parse(text).ok_or_else(|| "the text is no kind of chats".into())
        });
    };
    ($database:ident, $value:ident, $buffer:ident, $type:ident, $decode:expr) => {
        impl Type<$database> for $type {
            fn type_info() -> <$database as Database>::TypeInfo {
                <str as Type<$database>>::type_info()
            }

            fn compatible(stored: &<$database as Database>::TypeInfo) -> bool {
                <str as Type<$database>>::compatible(stored)
            }
        }

        impl Encode<'_, $database> for $type {
            fn encode_by_ref(&self, buffer: &mut $buffer) -> Result<IsNull, BoxDynError> {
                <&str as Encode<$database>>::encode(self.as_str(), buffer)
            }
        }

        impl<'r> Decode<'r, $database> for $type {
            fn decode(value: $value<'r>) -> Result<Self, BoxDynError> {
                let decode: fn(&str) -> Result<Self, BoxDynError> = $decode;
                decode(<&str as Decode<$database>>::decode(value)?)
            }
        }
    };
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use sqlx_core::database::Database;
    use sqlx_core::decode::Decode;
    use sqlx_core::encode::{Encode, IsNull};
    use sqlx_core::error::BoxDynError;
    use sqlx_core::types::Type;
    use sqlx_sqlite::{Sqlite, SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};

    use crate::chat::chat_kind::ChatKind;
    use crate::chat::person::evidence::LinkSource;
    use crate::instance::InstanceId;
    use crate::media::MediaState;
    use crate::media::object_key::ObjectKey;
    use crate::time::timestamp::Timestamp;

    texts!(Sqlite, SqliteValueRef, SqliteArgumentsBuffer);

    /// A column of text, in the form of [`Timestamp::to_rfc3339`].
    impl Type<Sqlite> for Timestamp {
        fn type_info() -> SqliteTypeInfo {
            <str as Type<Sqlite>>::type_info()
        }
    }

    impl Encode<'_, Sqlite> for Timestamp {
        fn encode_by_ref(&self, buffer: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
            <String as Encode<Sqlite>>::encode(self.to_rfc3339(), buffer)
        }
    }

    impl<'r> Decode<'r, Sqlite> for Timestamp {
        fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
            let text = <&str as Decode<Sqlite>>::decode(value)?;
            Timestamp::from_rfc3339(text).ok_or_else(|| "the text is no time of RFC 3339".into())
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use sqlx_core::database::Database;
    use sqlx_core::decode::Decode;
    use sqlx_core::encode::{Encode, IsNull};
    use sqlx_core::error::BoxDynError;
    use sqlx_core::types::Type;
    use sqlx_postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef, Postgres};
    use time::OffsetDateTime;
    use time::macros::datetime;

    use crate::chat::chat_kind::ChatKind;
    use crate::chat::person::evidence::LinkSource;
    use crate::instance::InstanceId;
    use crate::media::MediaState;
    use crate::media::object_key::ObjectKey;
    use crate::time::timestamp::Timestamp;

    const MICROS_PER_MILLI: i64 = 1_000;

    /// PostgreSQL counts from here.
    const EPOCH: Timestamp = Timestamp::from_seconds(datetime!(2000-01-01 00:00 UTC).unix_timestamp());

    texts!(Postgres, PgValueRef, PgArgumentBuffer);

    impl PgHasArrayType for InstanceId {
        fn array_type_info() -> PgTypeInfo {
            <&str as PgHasArrayType>::array_type_info()
        }
    }

    impl PgHasArrayType for ChatKind {
        fn array_type_info() -> PgTypeInfo {
            <&str as PgHasArrayType>::array_type_info()
        }
    }

    impl PgHasArrayType for ObjectKey {
        fn array_type_info() -> PgTypeInfo {
            <&str as PgHasArrayType>::array_type_info()
        }
    }

    impl PgHasArrayType for Timestamp {
        fn array_type_info() -> PgTypeInfo {
            <OffsetDateTime as PgHasArrayType>::array_type_info()
        }
    }

    /// A column of the type `timestamptz`.
    impl Type<Postgres> for Timestamp {
        fn type_info() -> PgTypeInfo {
            <OffsetDateTime as Type<Postgres>>::type_info()
        }
    }

    impl Encode<'_, Postgres> for Timestamp {
        fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
            let micros =
                (self.millis() - EPOCH.millis()).checked_mul(MICROS_PER_MILLI).ok_or("the time is too far away")?;
            <i64 as Encode<Postgres>>::encode(micros, buffer)
        }

        fn size_hint(&self) -> usize {
            size_of::<i64>()
        }
    }

    /// Decodes the microseconds of prepared statements here, because the `time` crate's type panics at a year beyond
    /// 9999 and at `infinity`. What is finer than milliseconds is cut off.
    impl<'r> Decode<'r, Postgres> for Timestamp {
        fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
            if value.format() == PgValueFormat::Text {
                return Ok(Timestamp::from_utc(<OffsetDateTime as Decode<Postgres>>::decode(value)?));
            }
            let micros = <i64 as Decode<Postgres>>::decode(value)?;
            let millis = micros.div_euclid(MICROS_PER_MILLI).checked_add(EPOCH.millis());
            let time = millis.and_then(Timestamp::from_store);
            time.ok_or_else(|| "the time is not within the years 0 to 9999".into())
        }
    }
}
