%% Receivers of watches in a torture run: processes on the nodes, each of which watches some of what
%% ram_torture_watched writes, and writes down what it asks for and is sent, for ram-check:
%%
%%     w KEYS initial T | w KEYS from REVISION T        it asks for a watch
%%     b REVISION T | c T                               it begins; the history is shorter
%%     m REVISION CHANGE ... T                          KEY=NEW, KEY=NEW<OLD, KEY!WHY
%%     d REVISION T | l REVISION T                      initial_done, lost
%%
%% It gives credit back, sometimes late, and has little of it, so that it is lost now and then. It
%% goes on after the last revision that it has, also when its watch or its node has ended: whoever
%% has its name there next reads that in the file. What is no longer in the history it begins anew.
%% Its file is kept in parts, each far below the limit on files that stands for a full disk.
-module(ram_torture_receiver).

-export([start/2, seen/0, stop/0]).

-define(PART_BYTES_MAX, 400000).
-define(RETRY_MS, 100).
-define(ANSWER_MS, 1000).
%% It is slow once in so many messages.
-define(SLOW_EVERY, 100).
-define(SLOW_MS_MAX, 1000).
-define(MESSAGES_MAX, 1000).
-define(PREFIX, "ram_receiver_").

-record(receiver, {name :: string(),
                   folder :: string(),
                   what :: ram:watched(),
                   file :: file:fd() | undefined,
                   part :: non_neg_integer(),
                   bytes = 0 :: non_neg_integer(),
                   %% `none': not even what was there.
                   seen :: none | ram:rev()}).

%% @doc Starts those of this node: of the I-th, whenever it has started.
-spec start(pos_integer(), string()) -> ok.
start(I, Folder) ->
    Watched = ram_torture_watched:watched(),
    lists:foreach(fun({N, What}) -> start(I, N, What, Folder) end,
                  lists:zip(lists:seq(1, length(Watched)), Watched)).

start(I, N, What, Folder) ->
    Name = lists:concat(["node", I, "-", N]),
    Run = fun() ->
                  {Part, Seen} = left(Folder, Name),
                  begin_watch(part(#receiver{name = Name, folder = Folder, what = What,
                                             part = Part, seen = Seen}))
          end,
    ram_torture_client:start_process(?PREFIX ++ Name, Folder, Run).

receivers() ->
    [Name || Name <- registered(), lists:prefix(?PREFIX, atom_to_list(Name))].

%% @doc The revision up to which all receivers of this node have been sent; `none' if one is busy.
-spec seen() -> ram:rev() | none.
seen() ->
    All = [seen(Name) || Name <- receivers()],
    case All =:= [] orelse lists:member(none, All) of
        true -> none;
        false -> lists:min(All)
    end.

seen(Name) ->
    Name ! {seen, self()},
    receive {Name, Seen} -> Seen after ?ANSWER_MS -> none end.

%% @doc They write nothing any more when this returns.
-spec stop() -> ok.
stop() ->
    Monitors = [begin
                    Monitor = monitor(process, Name),
                    Name ! stop,
                    Monitor
                end || Name <- receivers()],
    lists:foreach(fun(Monitor) -> receive {'DOWN', Monitor, process, _, _} -> ok end end, Monitors).

%%% The file

%% The next part, and how far the one with this name came before. Of a torn line nothing is known.
left(Folder, Name) ->
    case lists:sort(filelib:wildcard(filename:join(Folder, Name ++ ".*.watch"))) of
        [] ->
            {1, none};
        Parts ->
            Lines = lists:append([lines(Part) || Part <- Parts]),
            {length(Parts) + 1, lists:foldl(fun far/2, none, Lines)}
    end.

lines(Path) ->
    {ok, Text} = file:read_file(Path),
    lists:droplast(binary:split(Text, <<"\n">>, [global])).

far(Line, Seen) ->
    case binary:split(Line, <<" ">>, [global]) of
        [<<"w">> | Words] -> from(lists:member(<<"initial">>, Words), Seen);
        [<<"m">>, Rev | _] when Seen =/= none -> binary_to_integer(Rev);
        [<<"l">>, Rev | _] when Seen =/= none -> binary_to_integer(Rev);
        [<<"d">>, Rev | _] -> binary_to_integer(Rev);
        [<<"c">> | _] -> none;
        _ -> Seen
    end.

from(true, _Seen) -> none;
from(false, Seen) -> Seen.

part(#receiver{folder = Folder, name = Name, part = Part} = Receiver) ->
    Path = filename:join(Folder, io_lib:format("~s.~5..0b.watch", [Name, Part])),
    {ok, File} = file:open(Path, [raw, append]),
    Receiver#receiver{file = File, part = Part + 1, bytes = 0}.

note(Words, #receiver{file = File, bytes = Bytes} = Receiver) ->
    Line = [lists:join($\s, Words ++ [integer_to_binary(ram_torture_client:now_ns())]), $\n],
    ok = file:write(File, Line),
    case Bytes + iolist_size(Line) of
        Written when Written > ?PART_BYTES_MAX ->
            ok = file:close(File),
            part(Receiver);
        Written ->
            Receiver#receiver{bytes = Written}
    end.

%%% The watch

begin_watch(#receiver{what = What, seen = Seen} = Receiver0) ->
    Begin = case Seen of none -> #{initial => true}; _ -> #{from => Seen + 1} end,
    Receiver = note(["w" | keys(What)] ++ start_words(Begin), Receiver0),
    try ram:watch(What, maps:merge(options(), Begin)) of
        {ok, Watch, Rev} ->
            receive_some(Watch, rand:uniform(?MESSAGES_MAX), note(["b", rev(Rev)], Receiver));
        {error, {compacted, _Oldest}} ->
            begin_watch((note(["c"], Receiver))#receiver{seen = none})
    catch
        error:{timeout, {ram, Node}} when Node =:= node() -> again(Receiver);
        error:{overloaded, {ram, Node}} when Node =:= node() -> again(Receiver);
        error:noproc -> again(Receiver)
    end.

options() ->
    #{table => watched, old => rand:uniform(2) =:= 1, events_max => rand:uniform(64),
      bytes_max => 1000 + rand:uniform(20000)}.

again(Receiver) ->
    receive
        stop -> ok;
        {seen, From} -> answer(From, none), again(Receiver)
    after ?RETRY_MS ->
        begin_watch(Receiver)
    end.

%% Until it is lost, or so many messages have come: then it goes on with another watch.
receive_some(Watch, 0, Receiver) ->
    ok = ram:unwatch(Watch),
    begin_watch(Receiver);
receive_some(Watch, Left, #receiver{seen = Seen} = Receiver) ->
    receive
        {ram_event, Watch, Rev, lost} ->
            begin_watch((note(["l", rev(Rev)], Receiver))#receiver{seen = after_rev(Seen, Rev)});
        {ram_event, Watch, Rev, initial_done} ->
            receive_some(Watch, Left, (note(["d", rev(Rev)], Receiver))#receiver{seen = Rev});
        {ram_event, Watch, Rev, Events} ->
            Told = note(["m", rev(Rev) | [event(Event) || Event <- Events]], Receiver),
            slow(rand:uniform(?SLOW_EVERY)),
            ok = ram:watch_ack(Watch, Rev),
            receive_some(Watch, Left - 1, Told#receiver{seen = after_rev(Seen, Rev)});
        {ram_event, Other, _, _} = Stray ->
            error({of_no_watch, Other, Stray});
        {seen, From} ->
            answer(From, Seen),
            receive_some(Watch, Left, Receiver);
        stop ->
            ok
    end.

%% What was there has been sent, or not yet.
after_rev(none, _Rev) -> none;
after_rev(_Seen, Rev) -> Rev.

slow(1) -> receive after rand:uniform(?SLOW_MS_MAX) -> ok end;
slow(_) -> ok.

answer(From, Seen) ->
    {registered_name, Name} = process_info(self(), registered_name),
    From ! {Name, Seen}.

%%% Words

start_words(#{initial := true}) -> ["initial"];
start_words(#{from := Rev}) -> ["from", rev(Rev)].

keys(all) -> ["all"];
keys({key, Key}) -> ["key", Key];
keys({prefix, Prefix}) -> ["prefix", Prefix];
keys({range, From, To}) -> ["range", From, To].

rev(Rev) -> integer_to_binary(Rev).

event({put, Key, Value}) -> [Key, $=, Value];
event({put, Key, Value, error}) -> [Key, $=, Value, "<-"];
event({put, Key, Value, {ok, Old}}) -> [Key, $=, Value, $<, Old];
event({delete, Key, Why}) -> [Key, $!, atom_to_list(Why)].
