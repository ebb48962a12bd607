"""From mosquitto.conf to gateway.yaml: pure, but for `reading`, which collects the lines of the files.

    conf        lines with their places, in sections: what is general, one for each listener, one for each bridge
    remarks     what could not be carried over, what means something else here, what needs no setting
    reasons     every option that has no counterpart, and why
    general, doors, bridges     each takes what it knows from its section
    translation the whole; whatever line nobody took is in its remarks: nothing is dropped in silence
    writing     the document as YAML, the remarks as text

Mosquitto's options are those of 2.0, and of 2.1 where they are known.
"""
