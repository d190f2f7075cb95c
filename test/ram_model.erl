%% What every call of ram on keys and tables answers and leaves behind, as a pure function: the
%% model that ram_model_prop holds a cluster against. It shares no code with ram.
%%
%% An operation is `{Function, Arguments, Options}'; with `none' for options it is the call without
%% them. Funs are data: see ram_model_call, which makes them. A revision is counted from the one at
%% which a run began. The answer of a scan of a set has no order: see agrees/2. Time stands still
%% here: of a time to live nothing passes, and what goes with the time is said by expire/2. What is
%% left of it is told in whole hours, rounded up, so it is the time that was given where that is so.
-module(ram_model).

-export([new/0, new/1, run/2, expire/2, hours/1, agrees/2]).
%% For ram_model_txn.
-export([content/2, entry/3, put/5, remove/3, written/2, holds/2, count/3]).
-export_type([state/0, content/0, entry/0, given/0, operation/0]).

-define(HOUR_MS, 3600000).

-type state() :: #{rev := integer(), tables := #{atom() => {set | ordered_set, content()}}}.
-type content() :: #{Key :: term() => entry()}.
-type entry() :: #{value := term(), rev := integer(), created := integer(),
                   version := pos_integer(), ttl := ram:ttl(), owner := none | pid() | node()}.
%% What a put says beside the value; one that keeps leaves that as it is.
-type given() :: keep | #{ttl => ram:ttl(), owner => pid() | node()}.
-type operation() :: {Function :: atom(), Arguments :: [term()], Options :: map() | none}
                   | {pages, operation(), Rest :: pos_integer() | infinity, [operation()]}
                   | {wrong | wrong_inside, atom(), [term()], Word :: string()}.

-spec new() -> state().
new() -> new(#{s => set, o => ordered_set}).

%% @doc With these tables, and the default one.
-spec new(#{atom() => set | ordered_set}) -> state().
new(Tables) ->
    #{rev => 0, tables => maps:map(fun(_, Type) -> {Type, #{}} end, Tables#{default => set})}.

%% @doc What an operation answers, and the state after it. What it raises changes nothing, unless
%% its fun did.
-spec run(operation(), state()) -> {term(), state()}.
run({wrong, _Function, _Arguments, _Word}, State) ->
    {badarg_is_explained, State};
run({pages, Scan, Rest, Writes}, State) ->
    {First, State} = run(Scan, State),
    {Answers, After} = lists:mapfoldl(fun run/2, State, Writes),
    {{pages, First, Rest, Answers}, After};
run({_Function, _Arguments, #{at_least := ahead}}, State) ->
    {{raised, timeout}, State};
run({Function, Arguments, Given}, State) ->
    Options = case Given of none -> #{}; _ -> Given end,
    try call(Function, Arguments, Options, State)
    catch
        throw:{raised, _} = Raised -> {Raised, State};
        throw:{{raised, _} = Raised, After} -> {Raised, After}
    end.

%%% Calls: of one key, of several, of a whole table

call(put, [Key, Value], Options, State) ->
    change(fun(T, S) -> put(T, Key, Value, given(Options), S) end, Key, Options, State);
call(cas, [Key, Expected, Value], Options, State) ->
    call(put, [Key, Value], Options#{expect => Expected, return => rev}, State);
call(put_new, [Key, Value], Options, State) ->
    case call(put, [Key, Value], Options#{expect => absent}, State) of
        {ok, After} -> {true, After};
        {{conflict, _}, State} -> {false, State}
    end;
call(delete, [Key], Options, State) ->
    change(fun(T, S) -> remove(T, Key, S) end, Key, Options, State);
call(take, [Key], Options, State) ->
    call(delete, [Key], Options#{return => old}, State);
call(touch, [Key, Ttl], Options, State) ->
    touch(table(Options), Key, Ttl, State);
call(update_counter, [Key, Count], Options, State) ->
    call(update_counter, [Key, Count, 0], Options, State);
call(update_counter, [Key, Count, Default], Options, State) ->
    Table = table(Options),
    Number = count(entry(Table, Key, State), Count, Default),
    is_integer(Number) orelse raise({not_an_integer, Key}),
    {Number, written(State, put(Table, Key, Number, keep, State))};
call(update, Arguments, Options, State) ->
    update(1, runs(Options), Arguments, Options, State);
call(get_and_update, Arguments, Options, State) ->
    get_and_update(1, runs(Options), Arguments, Options, State);
call(Function, Arguments, Options, State) ->
    read(Function, Arguments, Options, State).

runs(#{retries := Retries}) when is_integer(Retries) -> Retries + 1;
runs(_Infinity) -> infinity.

given(Options) -> maps:with([ttl, owner], Options).

read(get, [Key], Options, State) ->
    read(get, [Key, undefined], Options, State);
read(get, [Key, Default], Options, State) ->
    case entry(table(Options), Key, State) of
        none -> {Default, State};
        #{value := Value} -> {Value, State}
    end;
read(fetch, [Key], Options, State) ->
    {found(entry(table(Options), Key, State)), State};
read(lookup, [Key], Options, State) ->
    {current(entry(table(Options), Key, State)), State};
read(ttl, [Key], Options, State) ->
    case entry(table(Options), Key, State) of
        none -> {error, State};
        #{ttl := Ttl} -> {{ok, hours(Ttl)}, State}
    end;
read(member, [Key], Options, State) ->
    {entry(table(Options), Key, State) =/= none, State};
read(get_many, [Keys], Options, State) ->
    {_, Content} = content(table(Options), State),
    {maps:map(fun(_, #{value := Value}) -> Value end, maps:with(Keys, Content)), State};
read(size, [], Options, State) ->
    {_, Content} = content(table(Options), State),
    {map_size(Content), State};
read(Function, Arguments, Options, State) ->
    several(Function, Arguments, Options, State).

several(put_many, [Entries], Options, State) ->
    Table = table(Options),
    Put = fun({Key, Value}, S) -> put(Table, Key, Value, given(Options), S) end,
    many(Entries, Put, Options, State);
several(delete_many, [Keys], Options, State) ->
    Table = table(Options),
    many(Keys, fun(Key, S) -> remove(Table, Key, S) end, Options, State);
several(delete_range, [From, To], Options, State) ->
    Table = table(Options),
    Keys = [Key || {Key, _} <- ram_model_scan:range(From, To, ordered(Table, State))],
    Remove = fun(Key, S) -> remove(Table, Key, S) end,
    {length(Keys), written(State, lists:foldl(Remove, State, Keys))};
several(txn, [If, Then, Else], Options, State) ->
    ram_model_txn:txn(If, Then, Else, table(Options), State);
several(transaction, [Steps], Options, State) ->
    ram_model_txn:transaction(Steps, maps:get(retries, Options, 16), State);
several(Function, Arguments, Options, State) ->
    table(Function, Arguments, Options, State).

table(create_table, [Name], Options, #{tables := Tables} = State) ->
    case Tables of
        #{Name := _} -> {{error, exists}, State};
        #{} ->
            Table = {maps:get(type, Options, set), #{}},
            {ok, written(State, State#{tables := Tables#{Name => Table}, changed => true})}
    end;
table(drop_table, [Name], _Options, #{tables := Tables} = State) ->
    case Tables of
        #{Name := _} ->
            Dropped = State#{tables := maps:remove(Name, Tables), changed => true},
            {ok, written(State, Dropped)};
        #{} -> {{error, no_table}, State}
    end;
table(tables, [], _Options, #{tables := Tables} = State) ->
    {lists:sort(maps:keys(Tables)), State};
table(info, [Name], _Options, #{tables := Tables} = State) ->
    case Tables of
        #{Name := {Type, Content}} -> {{Type, map_size(Content), Content =/= #{}}, State};
        #{} -> {error, State}
    end;
table(Function, Arguments, Options, State) ->
    Scanned = content(table(Options), State),
    Answer = try ram_model_scan:answer(Function, Arguments, Options, Scanned)
             catch throw:not_ordered -> raise(badarg)
             end,
    {Answer, State}.

%% A put or delete, if what is expected is there.
change(Do, Key, Options, State) ->
    Table = table(Options),
    Before = entry(Table, Key, State),
    case holds(maps:get(expect, Options, none), Before) of
        false -> {{conflict, current(Before)}, State};
        true ->
            #{rev := Rev} = After = written(State, Do(Table, State)),
            IsDelete = entry(Table, Key, After) =:= none,
            Answer = case maps:get(return, Options, ok) of
                         ok -> ok;
                         rev when IsDelete, Before =:= none -> error;
                         rev -> {ok, Rev};
                         old -> found(Before)
                     end,
            {Answer, After}
    end.

%% It makes a revision and no version.
touch(Table, Key, Ttl, #{rev := Rev} = State) ->
    case entry(Table, Key, State) of
        none ->
            {false, State};
        Entry ->
            Touched = Entry#{rev := Rev + 1, ttl := Ttl},
            {true, written(State, set(Table, Key, Touched, State))}
    end.

many(Parts, Do, Options, State) ->
    Parts =:= [] andalso Options =:= #{} orelse content(table(Options), State),
    #{rev := Rev} = After = written(State, lists:foldl(Do, State, Parts)),
    case Options of
        #{return := rev} -> {{ok, Rev}, After};
        #{} -> {ok, After}
    end.

%% Its fun runs again where another changed the key meanwhile.
update(Run, Runs, [Key, Default, Change] = Arguments, Options, State) ->
    Table = table(Options),
    Before = entry(Table, Key, State),
    Meanwhile = meanwhile(Run, Change, Before, State),
    New = case Before of
              none -> Default;
              #{value := Old} -> changed(Change, Old, Meanwhile)
          end,
    case entry(Table, Key, Meanwhile) of
        Before ->
            #{rev := Rev} = After =
                written(Meanwhile, put(Table, Key, New, keep, Meanwhile)),
            Answer = case Options of
                         #{return := new} -> {ok, New};
                         #{return := rev} -> {ok, Rev};
                         #{} -> ok
                     end,
            {Answer, After};
        _Other when Run =:= Runs -> throw({{raised, {conflict, Key}}, Meanwhile});
        _Other -> update(Run + 1, Runs, Arguments, Options, Meanwhile)
    end.

get_and_update(Run, Runs, [Key, Change] = Arguments, Options, State) ->
    Table = table(Options),
    Before = entry(Table, Key, State),
    Meanwhile = meanwhile(Run, Change, present, State),
    Did = did(Change, found(Before), Meanwhile),
    Same = entry(Table, Key, Meanwhile) =:= Before,
    case Did of
        {keep, Reply} -> {Reply, Meanwhile};
        {delete, Reply} when Before =:= none -> {Reply, Meanwhile};
        {delete, Reply} when Same -> {Reply, written(Meanwhile, remove(Table, Key, Meanwhile))};
        {put, New, Reply} when Same ->
            {Reply, written(Meanwhile, put(Table, Key, New, keep, Meanwhile))};
        _Changed when Run =:= Runs -> throw({{raised, {conflict, Key}}, Meanwhile});
        _Changed -> get_and_update(Run + 1, Runs, Arguments, Options, Meanwhile)
    end.

%% After what the fun itself puts, which it does so many times, and only where it is called.
meanwhile(Run, {outside, Times, {Table, Key}, Value, _Change}, Before, State)
  when Run =< Times, Before =/= none ->
    written(State, put(Table, Key, Value, #{}, State));
meanwhile(_Run, _Change, _Before, State) ->
    State.

changed({outside, _, _, _, Change}, Old, State) -> changed(Change, Old, State);
changed({set, Value}, _Old, _State) -> Value;
changed(wrap, Old, _State) -> {Old};
changed(crash, _Old, State) -> throw({{raised, crash}, State}).

did({outside, _, _, _, Change}, Saw, State) -> did(Change, Saw, State);
did(keep, Saw, _State) -> {keep, {saw, Saw}};
did(delete, Saw, _State) -> {delete, {saw, Saw}};
did({set, Value}, Saw, _State) -> {put, Value, {saw, Saw}};
did(wrap, Saw, _State) -> {put, {Saw}, {saw, Saw}};
did(crash, _Saw, State) -> throw({{raised, crash}, State});
did(other, _Saw, State) -> throw({{raised, badarg}, State}).

%%% Parts of writes, which leave `changed' in the state

-spec put(atom(), term(), term(), given(), state()) -> state().
put(Table, Key, Value, Given, #{rev := Rev} = State) ->
    Entry = case entry(Table, Key, State) of
                none -> #{value => Value, rev => Rev + 1, created => Rev + 1, version => 1,
                          ttl => infinity, owner => none};
                #{rev := Now} = Own when Now =:= Rev + 1 -> Own#{value := Value};
                #{version := Version} = Old -> Old#{value := Value, rev := Rev + 1,
                                                    version := Version + 1}
            end,
    set(Table, Key, settled(Given, Entry), State).

settled(keep, Entry) -> Entry;
settled(Given, Entry) -> Entry#{ttl := maps:get(ttl, Given, infinity),
                                owner := maps:get(owner, Given, none)}.

set(Table, Key, Entry, State) ->
    with(Table, fun(Content) -> Content#{Key => Entry} end, State).

-spec remove(atom(), term(), state()) -> state().
remove(Table, Key, State) ->
    case entry(Table, Key, State) of
        none -> State;
        _There -> with(Table, fun(Content) -> maps:remove(Key, Content) end, State)
    end.

with(Table, Do, #{tables := Tables} = State) ->
    #{Table := {Type, Content}} = Tables,
    State#{tables := Tables#{Table := {Type, Do(Content)}}, changed => true}.

%% @doc The state after the write that ends these keys.
-spec expire([{Table :: atom(), Key :: term()}], state()) -> state().
expire(Keys, State) ->
    written(State, lists:foldl(fun({Table, Key}, S) -> remove(Table, Key, S) end, State, Keys)).

%% @doc The state after a write: one revision for all of it, if it changed anything.
-spec written(Before :: state(), After :: state()) -> state().
written(#{rev := Rev}, #{changed := true} = After) ->
    maps:remove(changed, After#{rev := Rev + 1});
written(_Before, After) ->
    After.

-spec holds(none | term(), none | entry()) -> boolean().
holds(none, _Entry) -> true;
holds(absent, Entry) -> Entry =:= none;
holds(_Expected, none) -> false;
holds(present, _Entry) -> true;
holds({rev, Expected}, #{rev := Rev}) -> Expected =:= Rev;
holds({value, Expected}, #{value := Value}) -> Expected =:= Value.

%% @doc The rule of ets:update_counter/4.
-spec count(none | entry(), ram:count(), integer()) -> integer() | error.
count(none, Count, Default) -> counted(Default, Count);
count(#{value := Value}, Count, _Default) when is_integer(Value) -> counted(Value, Count);
count(_NoInteger, _Count, _Default) -> error.

counted(Value, {Step, Threshold, SetTo}) when Step >= 0, Value + Step > Threshold -> SetTo;
counted(Value, {Step, Threshold, SetTo}) when Step < 0, Value + Step < Threshold -> SetTo;
counted(Value, {Step, _Threshold, _SetTo}) -> Value + Step;
counted(Value, Step) -> Value + Step.

%%% What is there

-spec content(atom(), state()) -> {set | ordered_set, content()}.
content(Table, #{tables := Tables}) ->
    case Tables of
        #{Table := Content} -> Content;
        #{} -> raise({no_table, Table})
    end.

ordered(Table, State) ->
    case content(Table, State) of
        {ordered_set, Content} -> Content;
        {set, _} -> raise(badarg)
    end.

-spec entry(atom(), term(), state()) -> none | entry().
entry(Table, Key, State) ->
    {_, Content} = content(Table, State),
    maps:get(Key, Content, none).

found(none) -> error;
found(#{value := Value}) -> {ok, Value}.

current(none) -> error;
current(#{value := Value, ttl := Ttl} = Entry) ->
    {ok, Value, maps:remove(value, Entry#{ttl := hours(Ttl)})}.

%% @doc Milliseconds of whole hours, rounded up; what is about to go has an hour too.
-spec hours(ram:left()) -> ram:left().
hours(infinity) -> infinity;
hours(Ms) when Ms >= 0 -> (max(1, Ms) + ?HOUR_MS - 1) div ?HOUR_MS * ?HOUR_MS.

table(Options) -> maps:get(table, Options, default).

-spec raise(term()) -> no_return().
raise(Reason) -> throw({raised, Reason}).

%%% Answers

%% @doc Whether it is what the model says. Pages are of full length, but the last; together they are
%% what one call without a limit answers.
-spec agrees(Expected :: term(), Answer :: term()) -> boolean().
agrees({any_order, Items}, Answer) when is_list(Answer) ->
    Items -- Answer =:= [] andalso Answer -- Items =:= [];
agrees({pages, {raised, _} = Raised, _Rest, Answers}, {pages, Told, _Limits, AlsoAnswers}) ->
    Raised =:= Told andalso Answers =:= AlsoAnswers;
agrees({pages, Items, _Rest, Answers}, {pages, Pages, Limits, AlsoAnswers}) when is_list(Pages) ->
    Full = lists:all(fun({Page, Limit}) -> length(Page) =:= Limit end,
                     lists:zip(lists:droplast(Pages), lists:droplast(Limits))),
    Full andalso length(lists:last(Pages)) =< lists:last(Limits)
        andalso agrees(Items, lists:append(Pages)) andalso Answers =:= AlsoAnswers;
agrees(Expected, Answer) ->
    Expected =:= Answer.
