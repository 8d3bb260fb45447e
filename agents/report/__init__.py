"""`gan-env report`: numbers of a folder of rows, their pictures, and the page that shows both."""
