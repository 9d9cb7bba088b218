"""Payload profiles in the box: parts of IEC 61968-9, resources, and the values that people need with them."""
