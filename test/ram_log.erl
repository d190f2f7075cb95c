%% The log lines of a node of a test, kept in a file as they come: a handler of its logger.
-module(ram_log).

-export([keep/2, lines/3, handler/1, lines_of/2]).
-export([log/2]).

%% @doc From now on the lines of node I are kept.
keep(Run, I) ->
    ram_peers:call(Run, I, logger, add_handler, handler(file(Run, I))).

%% @doc Those lines that were kept so far in which this text stands.
lines(Run, I, Text) ->
    lines_of(file(Run, I), Text).

file(Run, I) ->
    filename:join(ram_peers:folder(Run), "kept" ++ integer_to_list(I)).

%% @doc What logger:add_handler has to be called with on a node.
handler(File) ->
    [?MODULE, ?MODULE, #{config => #{file => File}, level => info,
                         formatter => {logger_formatter, #{single_line => true}}}].

lines_of(File, Text) ->
    case file:read_file(File) of
        {ok, Kept} ->
            [Line || Line <- string:split(unicode:characters_to_list(Kept), "\n", all),
                     string:find(Line, Text) =/= nomatch];
        {error, enoent} ->
            []
    end.

%% Called by the process that logs; one line is one write.
log(Event, #{config := #{file := File}, formatter := {Formatter, Config}}) ->
    Line = unicode:characters_to_binary(Formatter:format(Event, Config)),
    file:write_file(File, Line, [append]).
