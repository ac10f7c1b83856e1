"""The language the services share: values, declarations and message formats. Pure: no I/O, no clock."""
