"""`sonogrid serve`: a page and a JSON endpoint that tag posted sounds, on localhost. The only room that speaks HTTP.

    app.py     the page and the endpoint, as a Starlette application
    server.py  serves the application until Ctrl-C
    page/      the files of the page; none comes from the network

What is posted is limited in bytes, seconds of audio and seconds of work, and is never written to a disk except for the
time that ffmpeg needs to convert it.
"""
