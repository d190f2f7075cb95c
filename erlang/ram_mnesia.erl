%% @doc Copies a Mnesia table into ram.
%%
%% Mnesia is optional: this module needs it only while {@link copy/2} runs.
-module(ram_mnesia).

-include_lib("kernel/include/logger.hrl").

-export([copy/1, copy/2]).
-export_type([options/0, entry/0, reason/0]).

-type entry() :: fun((Record :: tuple()) -> {Key :: term(), Value :: term()} | skip).
-type options() :: #{entry => entry(), lock => boolean(),
                     progress => fun((Copied :: non_neg_integer(), Size :: non_neg_integer()) ->
                                            term())}.
-type reason() ::
        %% Mnesia is not installed or not started here, or it ended the read for this reason.
        {mnesia, not_running | term()}
      | {no_table, Table :: atom()}
        %% A bag has several records for one key, and ram has one value for one key.
      | {bag, Table :: atom()}
        %% So many entries were put; then the one with this key (or a batch that begins with it) was
        %% not, for this reason.
      | {stopped, Copied :: non_neg_integer(), Key :: term(), ram_error:failure()}.

-define(CHUNK, 500).
-define(ATTEMPTS, 5).
-define(PAUSE_MS, 200).
-define(TELL_MS, 5000).
%% How much of a wrong term is printed.
-define(DEPTH, 12).

-record(copy, {size :: non_neg_integer(),
               entry :: entry(),
               progress :: fun((non_neg_integer(), non_neg_integer()) -> term()),
               bytes_max :: pos_integer(),
               batch = [] :: [{term(), term()}],
               bytes = 0 :: non_neg_integer(),
               copied = 0 :: non_neg_integer()}).

%% @equiv copy(Table, #{})
-spec copy(Table :: atom()) -> {ok, Count :: non_neg_integer()} | {error, reason()}.
copy(Table) ->
    copy(Table, #{}).

%% @doc Copies the records of a Mnesia table, of type set or ordered_set, into the cluster of this
%% node, and tells how many.
%%
%% Call it on a node that runs Mnesia and a member of ram. The record `{Name, Key, ...}' is put as
%% it is under the key `{Table, Key}', unless the option `entry' says otherwise: a fun that gets a
%% record and answers `{Key, Value}', or `skip' for one that is left out.
%%
%% Entries are put in batches of about `batch_bytes_max', over what is there under the same keys. So
%% a copy that was stopped is finished by another one. A batch that is refused for the moment
%% (`overloaded', or `timeout' after an election) is put again a few times.
%%
%% `lock': with `true' Mnesia's transactions that write to the table wait until the copy has ended,
%% and it is the table of one moment. Dirty writes wait for no lock. With `false', the default,
%% nobody waits: a record that is written or deleted during the copy is copied as it was or as it
%% is, and one that comes during it may be missing.
%%
%% `progress': a fun that is called after each batch with the number of entries copied and the size
%% of the table at the start. Without it a line is logged every five seconds.
%%
%% ```
%% 1> ram_mnesia:copy(session).
%% {ok,2}
%% 2> ram:get({session, 7}).
%% {session,7,ada}
%% '''
-spec copy(Table :: atom(), options()) -> {ok, Count :: non_neg_integer()} | {error, reason()}.
copy(Table, Options) ->
    case wrong(Table, Options) of
        none -> copy_table(Table, Options);
        {Position, Why} ->
            Info = #{module => ram_error, cause => #{Position => Why}},
            erlang:error(badarg, [Table, Options], [{error_info, Info}])
    end.

wrong(Table, _Options) when not is_atom(Table) ->
    {1, "must be the name of a table"};
wrong(_Table, Options) when is_map(Options) ->
    Wrong = [Why || {Key, Value} <- maps:to_list(Options), Why <- [wrong_option(Key, Value)],
                    Why =/= none],
    case Wrong of
        [] -> none;
        [First | _] -> {2, First}
    end;
wrong(_Table, Options) ->
    {2, io_lib:format("must be a map of options (entry, lock, progress), and is ~0tP",
                      [Options, ?DEPTH])}.

wrong_option(entry, Entry) when is_function(Entry, 1) -> none;
wrong_option(entry, _) -> "entry must be a fun of one argument";
wrong_option(progress, Progress) when is_function(Progress, 2) -> none;
wrong_option(progress, _) -> "progress must be a fun of two arguments";
wrong_option(lock, Lock) when is_boolean(Lock) -> none;
wrong_option(lock, _) -> "lock must be true or false";
wrong_option(Key, _) ->
    io_lib:format("~0tP is no option of this call; it knows entry, lock, progress",
                  [Key, ?DEPTH]).

copy_table(Table, Options) ->
    case readable(Table) of
        ok ->
            Size = mnesia(table_info, [Table, size]),
            Copy = #copy{size = Size,
                         entry = maps:get(entry, Options, whole(Table)),
                         progress = maps:get(progress, Options, logging(Table)),
                         bytes_max = bytes_max()},
            read(Table, Copy, maps:get(lock, Options, false));
        {error, _} = Error ->
            Error
    end.

readable(Table) ->
    try mnesia(table_info, [Table, type]) of
        bag -> {error, {bag, Table}};
        _SetOrOrderedSet -> ok
    catch
        exit:{aborted, {no_exists, _, _}} -> {error, absent(Table)};
        exit:{aborted, {node_not_running, _}} -> {error, {mnesia, not_running}};
        error:undef -> {error, {mnesia, not_running}}
    end.

%% Mnesia that is not started knows no table either.
absent(Table) ->
    case mnesia(system_info, [is_running]) of
        yes -> {no_table, Table};
        _ -> {mnesia, not_running}
    end.

%% Of a call in one of these two ways Mnesia makes an exit whatever it ends with, so what the copy
%% itself raises is carried around it.
read(Table, Copy, Lock) ->
    Kind = case Lock of true -> transaction; false -> async_dirty end,
    try mnesia(activity, [Kind, fun() -> each_chunk(Table, Copy) end]) of
        {ok, Copied} -> {ok, Copied};
        {error, _} = Error -> Error;
        {raised, Class, Reason, Stack} -> erlang:raise(Class, Reason, Stack)
    catch
        exit:{aborted, Reason} -> {error, {mnesia, Reason}}
    end.

each_chunk(Table, Copy) ->
    Fixed = fix(Table, true),
    try
        chunks(mnesia(select, [Table, [{'_', [], ['$_']}], ?CHUNK, read]), Copy)
    after
        Fixed andalso fix(Table, false)
    end.

%% Nothing is missed or met twice while the table grows: a traversal of ets takes that.
fix(Table, Fix) ->
    Is = lists:member(mnesia(table_info, [Table, storage_type]), [ram_copies, disc_copies]),
    _ = Is andalso ets:safe_fixtable(Table, Fix),
    Is.

chunks('$end_of_table', Copy) ->
    guarded(fun() -> end_batch(Copy) end, fun(#copy{copied = Copied}) -> {ok, Copied} end);
chunks({Records, Continuation}, Copy) ->
    guarded(fun() -> lists:foldl(fun add/2, Copy, Records) end,
            fun(Next) -> chunks(mnesia(select, [Continuation]), Next) end).

%% What Mnesia raises must reach it: it runs a transaction again that way.
guarded(Do, Then) ->
    Done = try {done, Do()}
           catch
               throw:{stopped, _, _, _} = Stopped -> {error, Stopped};
               Class:Reason:Stack -> {raised, Class, Reason, Stack}
           end,
    case Done of
        {done, Copy} -> Then(Copy);
        Failed -> Failed
    end.

add(Record, #copy{entry = Entry, batch = Batch, bytes = Bytes, bytes_max = BytesMax} = Copy) ->
    case Entry(Record) of
        skip ->
            Copy;
        {_Key, _Value} = Pair ->
            More = Bytes + erlang:external_size(Pair),
            case Batch =/= [] andalso More > BytesMax of
                true -> add_first(Pair, end_batch(Copy));
                false -> Copy#copy{batch = [Pair | Batch], bytes = More}
            end
    end.

add_first(Pair, Copy) ->
    Copy#copy{batch = [Pair], bytes = erlang:external_size(Pair)}.

end_batch(#copy{batch = []} = Copy) ->
    Copy;
end_batch(#copy{batch = Batch, copied = Copied, size = Size, progress = Progress} = Copy) ->
    Now = put_batch(lists:reverse(Batch), Copied),
    _ = Progress(Now, Size),
    Copy#copy{batch = [], bytes = 0, copied = Now}.

%% Puts the entries one by one when one of them, or all together, are too large: so that the answer
%% names the one.
put_batch([{Key, _} | Others] = Batch, Copied) ->
    case attempt(fun() -> ram:put_many(Batch) end, ?ATTEMPTS) of
        ok -> Copied + length(Batch);
        {too_large, _} when Others =/= [] -> lists:foldl(fun put_one/2, Copied, Batch);
        {_, Reason} -> throw({stopped, Copied, Key, Reason})
    end.

put_one({Key, Value}, Copied) ->
    case attempt(fun() -> ram:put(Key, Value) end, ?ATTEMPTS) of
        ok -> Copied + 1;
        {_, Reason} -> throw({stopped, Copied, Key, Reason})
    end.

%% A put that timed out may have happened; the same once more changes nothing.
attempt(Put, Left) ->
    try Put()
    catch
        error:{Kind, _} = Reason when Kind =:= timeout; Kind =:= overloaded ->
            case Left of
                1 -> {failed, Reason};
                _ -> receive after ?PAUSE_MS -> attempt(Put, Left - 1) end
            end;
        error:{value_too_large, _, _} = Reason -> {too_large, Reason};
        error:{key_too_large, _} = Reason -> {too_large, Reason};
        error:{batch_too_large, _} = Reason -> {too_large, Reason};
        error:noproc -> {failed, noproc}
    end.

%% The record may have another name than the table, as those of several tables may.
whole(Table) ->
    fun(Record) -> {{Table, element(2, Record)}, Record} end.

%% Keys and values are encoded otherwise than `external_size' counts; half leaves room for that.
bytes_max() ->
    Setting = fun(Key, Default) -> application:get_env(ram, Key, Default) end,
    Write = Setting(key_bytes_max, 64 bsl 10) + Setting(value_bytes_max, 16 bsl 20),
    max(1, min(Setting(batch_bytes_max, 1 bsl 20), Write div 2)).

%% The line is due every few seconds; the process that copies remembers when.
logging(Table) ->
    Clock = counters:new(1, []),
    ok = counters:put(Clock, 1, now_ms()),
    fun(Copied, Size) ->
            case now_ms() - counters:get(Clock, 1) >= ?TELL_MS of
                true ->
                    ok = counters:put(Clock, 1, now_ms()),
                    ?LOG_NOTICE("ram: ~b of about ~b records of the Mnesia table ~tp are copied",
                                [Copied, Size, Table]);
                false ->
                    ok
            end
    end.

now_ms() ->
    erlang:monotonic_time(millisecond).

%% Where Mnesia is not installed, xref and dialyzer would miss what is called by its name.
mnesia(Function, Arguments) ->
    apply(mnesia, Function, Arguments).
