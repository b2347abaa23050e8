/* SPDX-License-Identifier: MIT */
/* crosh-places: adds a directory to KDE's file of places, or takes it out; XBEL, by libxml2. */

/*
 * The file is XML as freedesktop.org's desktop-bookmark has it. A place of ours has metadata of
 * the owner "crosh", by which it is known again after KDE has written the file anew. The parser
 * loads nothing besides the file: no DTD and nothing from a network, and a document that declares
 * entities is not read to its end.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/uri.h>

#include "lib/base/cleanup.h"
#include "modules/sftp/user-file.h"

/* The names that KDE looks for. */
#define ICON_OWNER     "http://freedesktop.org"
#define ICON_NAMESPACE "http://www.freedesktop.org/standards/desktop-bookmarks"
/* As share/icons has it. */
#define ICON  "crosh"
#define OWNER "crosh"

static void free_doc(xmlDocPtr *doc)
{
    xmlFreeDoc(*doc);
}

static void free_parser(xmlParserCtxtPtr *parser)
{
    xmlFreeParserCtxt(*parser);
}

static void free_text(xmlChar **text)
{
    xmlFree(*text);
}

static void on_entity(void *opaque, const xmlChar *name, int type, const xmlChar *public_id,
                      const xmlChar *system_id, xmlChar *content)
{
    xmlParserCtxtPtr parser = opaque;

    (void)name, (void)type, (void)public_id, (void)system_id, (void)content;
    xmlStopParser(parser);
    parser->wellFormed = 0; /* what has been read is no document */
}

/* NULL: it is none of places. */
static xmlDocPtr parse(const char *text)
{
    cleanup(free_parser) xmlParserCtxtPtr parser = xmlNewParserCtxt();
    cleanup(free_doc) xmlDocPtr doc = NULL;
    xmlNodePtr root;

    if (parser == NULL)
        return NULL;
    parser->sax->entityDecl = on_entity;
    doc = xmlCtxtReadMemory(parser, text, (int)strlen(text), NULL, NULL,
                            XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    root = doc != NULL ? xmlDocGetRootElement(doc) : NULL;
    if (root == NULL || xmlStrcmp(root->name, BAD_CAST "xbel") != 0)
        return NULL;
    return move_ptr(doc);
}

static bool is_element(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && xmlStrcmp(node->name, BAD_CAST name) == 0;
}

static xmlNodePtr find_child(xmlNodePtr parent, const char *name)
{
    for (xmlNodePtr child = parent->children; child != NULL; child = child->next) {
        if (is_element(child, name))
            return child;
    }
    return NULL;
}

/* Whether it is a place for the directory, however its URI is written. */
static bool is_for(xmlNodePtr node, const char *directory)
{
    static const char scheme[] = "file://";
    cleanup(free_text) xmlChar *uri = NULL;
    char *path;
    size_t length;
    bool is_it;

    if (!is_element(node, "bookmark"))
        return false;
    uri = xmlGetNoNsProp(node, BAD_CAST "href");
    if (uri == NULL || strncmp((const char *)uri, scheme, sizeof(scheme) - 1) != 0)
        return false;
    path = xmlURIUnescapeString((const char *)uri + sizeof(scheme) - 1, 0, NULL);
    if (path == NULL)
        return false;
    length = strlen(path);
    if (length > 1 && path[length - 1] == '/')
        path[length - 1] = '\0';
    is_it = strcmp(path, directory) == 0;
    xmlFree(path);
    return is_it;
}

/* Whether it is as we have made it: with our mark and our name for it. */
static bool is_ours(xmlNodePtr node, const char *label)
{
    xmlNodePtr title = find_child(node, "title");
    xmlNodePtr info = find_child(node, "info");
    cleanup(free_text) xmlChar *text = title != NULL ? xmlNodeGetContent(title) : NULL;

    if (text == NULL || info == NULL || xmlStrcmp(text, BAD_CAST label) != 0)
        return false;
    for (xmlNodePtr child = info->children; child != NULL; child = child->next) {
        cleanup(free_text) xmlChar *owner = NULL;

        if (!is_element(child, "metadata"))
            continue;
        owner = xmlGetNoNsProp(child, BAD_CAST "owner");
        if (owner != NULL && xmlStrcmp(owner, BAD_CAST OWNER) == 0)
            return true;
    }
    return false;
}

/* The place, in no document yet; NULL: no memory. */
static xmlNodePtr make_place(xmlNodePtr root, const char *uri, const char *label)
{
    xmlNodePtr place = xmlNewDocNode(root->doc, NULL, BAD_CAST "bookmark", NULL);
    xmlNodePtr info = NULL, metadata = NULL, icon = NULL, mark = NULL;
    xmlNsPtr space = xmlSearchNs(root->doc, root, BAD_CAST "bookmark");

    if (place != NULL && xmlNewProp(place, BAD_CAST "href", BAD_CAST uri) != NULL &&
        xmlNewTextChild(place, NULL, BAD_CAST "title", BAD_CAST label) != NULL)
        info = xmlNewChild(place, NULL, BAD_CAST "info", NULL);
    if (info != NULL)
        metadata = xmlNewChild(info, NULL, BAD_CAST "metadata", NULL);
    if (metadata != NULL)
        mark = xmlNewChild(info, NULL, BAD_CAST "metadata", NULL);
    /* KDE goes by the prefix. */
    if (space == NULL || xmlStrcmp(space->href, BAD_CAST ICON_NAMESPACE) != 0)
        space = metadata != NULL ? xmlNewNs(metadata, BAD_CAST ICON_NAMESPACE, BAD_CAST "bookmark")
                                 : NULL;
    if (mark != NULL && space != NULL &&
        xmlNewProp(metadata, BAD_CAST "owner", BAD_CAST ICON_OWNER) != NULL &&
        xmlNewProp(mark, BAD_CAST "owner", BAD_CAST OWNER) != NULL)
        icon = xmlNewChild(metadata, space, BAD_CAST "icon", NULL);
    if (icon != NULL && xmlNewProp(icon, BAD_CAST "name", BAD_CAST ICON) != NULL)
        return place;
    xmlFreeNode(place);
    return NULL;
}

/* Behind the last one, on a line of its own. 1: changed; 0: there is one; or negative. */
static int add(xmlNodePtr root, const char *directory, const char *label)
{
    cleanup_free char *uri = user_file_uri(directory);
    xmlNodePtr last = xmlLastElementChild(root);
    xmlNodePtr place, space;

    for (xmlNodePtr child = root->children; child != NULL; child = child->next) {
        if (is_for(child, directory))
            return 0;
    }
    place = uri != NULL ? make_place(root, uri, label) : NULL;
    if (place == NULL)
        return -ENOMEM;
    if (last != NULL)
        (void)xmlAddNextSibling(last, place);
    else
        (void)xmlAddChild(root, place);
    space = xmlNewDocText(root->doc, BAD_CAST "\n ");
    if (space != NULL)
        (void)xmlAddPrevSibling(place, space);
    return 1;
}

/* 1: changed; 0: it is not there, or the user's. */
static int take_out(xmlNodePtr root, const char *directory, const char *label)
{
    for (xmlNodePtr child = root->children; child != NULL; child = child->next) {
        xmlNodePtr space = child->prev;

        if (!is_for(child, directory) || !is_ours(child, label))
            continue;
        xmlUnlinkNode(child);
        xmlFreeNode(child);
        if (space != NULL && xmlIsBlankNode(space)) {
            xmlUnlinkNode(space);
            xmlFreeNode(space);
        }
        return 1;
    }
    return 0;
}

/* Writes the document in the file's place. 0 or negative errno. */
static int save(xmlDocPtr doc, const char *file, mode_t mode)
{
    cleanup(free_text) xmlChar *text = NULL;
    int size = 0;

    xmlDocDumpMemoryEnc(doc, &text, &size,
                        doc->encoding != NULL ? (const char *)doc->encoding : "UTF-8");
    return text != NULL ? user_file_replace(file, (const char *)text, (size_t)size, mode) : -ENOMEM;
}

/* What XML has no way to write. */
static bool is_text(const char *path)
{
    for (const char *at = path; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20)
            return false;
    }
    return xmlCheckUTF8(BAD_CAST path) != 0;
}

static int edit(bool is_new, const char *file, const char *directory)
{
    cleanup(free_doc) xmlDocPtr doc = NULL;
    cleanup_free char *label = user_file_label(directory);
    cleanup_free char *text = NULL;
    mode_t mode;
    int r;

    if (label == NULL)
        return -ENOMEM;
    if (!is_text(directory))
        return 0;
    text = user_file_read(file, &mode);
    if (text == NULL)
        return -errno;
    doc = parse(text);
    if (doc == NULL)
        return -EINVAL;
    r = (is_new ? add : take_out)(xmlDocGetRootElement(doc), directory, label);
    return r > 0 ? save(doc, file, mode) : r;
}

int main(int argc, char **argv)
{
    bool is_new = argc == 4 && strcmp(argv[1], "add") == 0;

    if (argc != 4 || (!is_new && strcmp(argv[1], "remove") != 0) || argv[3][0] != '/') {
        (void)fputs("crosh-places is started by \"crosh -c 'sftp mount ...'\"\n", stderr);
        return EINVAL;
    }
    return -edit(is_new, argv[2], argv[3]);
}
